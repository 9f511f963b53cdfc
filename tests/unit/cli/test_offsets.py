"""``prism offsets`` where plugins have nothing for it; what it does with those that have is tested with them."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Site

GROUP = (
    "open = partitions = members = committed = horizons = offsets_at = timestamps = alter = close = print"
    "\n    retention = offsets_retention_ms = print"
)


def offer_group(site: Site, body: str) -> None:
    module = site.folder / "site_memory.py"
    text = module.read_text()
    beside = 'StoreSpec("administration"'
    assert text.count(beside) == 1
    store = f'StoreSpec("group", "tape", lambda config, context: Group()),\n        {beside}'
    module.write_text(f"{text.replace(beside, store)}\n\nclass Group:\n    {body}\n")


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (None, "[source]: the plugin 'tape' (of prism-tape 1.0) offers nothing that looks at and moves the offsets"),
        (GROUP, "[sink]: the plugin 'tape' (of prism-tape 1.0) offers nothing that looks at its ledger"),
    ],
)
def test_a_source_or_sink_without_a_store_is_one_sentence(site: Site, group: str | None, said: str) -> None:
    if group is not None:
        offer_group(site, group)
    for command in (["show", site.path], ["restore", site.path], ["reset", site.path, "--to", "latest"]):
        found = site.prism("offsets", *command)
        assert found.code == 2
        assert said in found.err


def test_a_store_that_lacks_a_method_is_named(site: Site) -> None:
    offer_group(site, "open = print")
    found = site.prism("offsets", "show", site.path)
    assert found.code == 3
    assert "the group 'tape'" in found.err
    assert "partitions" in found.err


def test_help_says_what_is_there(site: Site) -> None:
    text = site.prism("offsets", "--help").out
    assert all(name in text for name in ("show", "restore", "reset"))
    assert "--to-time" in site.prism("offsets", "reset", "--help").out
