"""Which addresses have worked."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prismlib.config.model import Secret
from prismlib.watch.proofs import Proofs

HUSH = Secret("json://user:hush@localhost")


def test_a_delivery_that_worked_is_kept_without_the_address(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path / ".prism")
    assert proofs.tested_at(HUSH) is None
    assert not (tmp_path / ".prism").exists(), "looking makes nothing"
    proofs.record(HUSH)
    at = Proofs(tmp_path / ".prism").tested_at(HUSH)
    assert at is not None
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=30)
    assert Proofs(tmp_path / ".prism").tested_at(Secret("json://user:hush@localhos")) is None
    file = tmp_path / ".prism" / "alerts.json"
    assert "hush" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["alerts.json"]


def test_two_processes_keep_each_others_addresses(tmp_path: Path) -> None:
    one, two = Proofs(tmp_path), Proofs(tmp_path)
    one.record(HUSH)
    two.record(Secret("json://b"))
    one.record(Secret("json://c"))
    assert None not in [one.tested_at(Secret(text)) for text in (HUSH.reveal(), "json://b", "json://c")]


def test_a_test_that_failed_forgets(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path)
    proofs.forget(HUSH)
    assert list(tmp_path.iterdir()) == []
    proofs.record(HUSH)
    proofs.forget(HUSH)
    assert proofs.tested_at(HUSH) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"salt": "a", "tested": {"x": "never"}}', '{"salt": "a", "tested": 3}']
)
def test_a_damaged_file_counts_as_nothing_tested_and_is_written_anew(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts.json").write_text(text)
    proofs = Proofs(tmp_path)
    assert proofs.tested_at(HUSH) is None
    assert "count as not tested" in caplog.text
    proofs.record(HUSH)
    assert proofs.tested_at(HUSH) is not None


def test_a_time_without_a_zone_does_no_harm(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path)
    proofs.record(HUSH)
    data = json.loads((tmp_path / "alerts.json").read_text())
    data["tested"] = dict.fromkeys(data["tested"], "2025-01-01T00:00:00")
    (tmp_path / "alerts.json").write_text(json.dumps(data))
    proofs.record(HUSH)
    at = proofs.tested_at(HUSH)
    assert at is not None
    assert at.year > 2025


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    Proofs(tmp_path / "file").record(HUSH)
    assert "tested again at the next start" in caplog.text
