"""``prism-check-schema`` in scratch repositories: what it finds, what it says, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from prismlib.cli.check_schema import execute

SUBJECT = """\
format = "avro"
compatibility = "{mode}"
owner = "airport-operations"
contact = "airport-operations@example.org"
topic = "flights"
"""
CONSUMER = """\
owner = "data-platform"
contact = "data-platform@example.org"
reads = ["carrier", "dep_delay"]
"""


def schema(*fields: str | dict[str, Any]) -> str:
    """An Avro record, a field a line; a name alone is a string without default."""
    lines = [json.dumps({"name": f, "type": "string"} if isinstance(f, str) else f) for f in fields]
    return '{"type": "record", "name": "Flight", "fields": [\n' + ",\n".join(lines) + "\n]}\n"


def optional(name: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", "string"], "default": None}


class Repository:
    """A working tree with a folder of schemas."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def subject(self, *versions: str, proposal: str | None = None, mode: str = "BACKWARD", extra: str = "") -> None:
        self.write("schemas/flights-value/subject.toml", SUBJECT.format(mode=mode) + extra)
        for number, text in enumerate(versions, 1):
            self.write(f"schemas/flights-value/v{number}.avsc", text)
        if proposal is not None:
            self.write("schemas/flights-value/next.avsc", proposal)

    def consumer(self, contract: str, extra: str = "") -> None:
        self.write("schemas/flights-value/consumers/air-traffic.toml", CONSUMER + extra)
        self.write("schemas/flights-value/consumers/air-traffic.avsc", contract)

    def git(self, *arguments: str, date: str = "2026-01-01T00:00:00Z") -> None:
        identity = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(self.folder), *arguments]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **identity})

    def commit(self, date: str = "2026-01-01T00:00:00Z") -> None:
        if not (self.folder / ".git").exists():
            self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "schemas", date=date)

    def check(self, *arguments: str) -> tuple[int, str]:
        code = execute(list(arguments))
        out, err = self._capsys.readouterr()
        return code, out + err

    def findings(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code, out = self.check(*arguments, "--format", "json")
        document: dict[str, Any] = json.loads(out)
        assert document["exit_code"] == code
        return code, document["subjects"][0]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Repository:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return Repository(tmp_path, capsys)


V1 = schema("carrier", "dep_delay", "tailnum")


# --- verdicts ----------------------------------------------------------------------------------------------------------


def test_a_compatible_proposal_passes_and_says_who_deploys_first(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", optional("gate")))
    code, out = repository.check()
    assert code == 0, out
    assert "flights-value: compatible - schemas/flights-value/next.avsc against version 1 (BACKWARD)" in out
    assert "deploy: producers and consumers can deploy in any order" in out


def test_consumers_deploy_first_when_the_old_schema_cannot_read_the_new_one(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay"))
    code, out = repository.check()
    assert code == 0, out
    assert "deploy: consumers that read with the whole old schema deploy first" in out


def test_producers_deploy_first_when_the_new_schema_cannot_read_the_old_one(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", "gate"), mode="FORWARD")
    code, out = repository.check()
    assert code == 0, out
    assert "deploy: producers deploy first" in out


def test_a_breaking_change_fails_and_names_rule_path_line_version_and_remedy(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", "gate"))
    code, out = repository.check()
    assert code == 1
    for part in (
        "AVR003 reader-field-without-default  /fields/gate  schemas/flights-value/next.avsc:5",
        "breaks: readers with the new schema, on what version 1 wrote",
        "instead: ",
        "1 subject: 1 incompatible",
    ):
        assert part in out


@pytest.mark.parametrize(("mode", "code"), [("BACKWARD", 0), ("BACKWARD_TRANSITIVE", 1)])
def test_every_version_counts_where_the_mode_is_transitive(repository: Repository, mode: str, code: int) -> None:
    required = {"name": "gate", "type": ["null", "string"]}
    repository.subject(schema("carrier"), schema("carrier", optional("gate")), mode=mode)
    repository.subject(proposal=schema("carrier", required), mode=mode)
    found, out = repository.check()
    assert found == code, out
    assert ("on what version 1 wrote" in out) == bool(code)


def test_a_new_subject_passes_and_says_that_it_is_new(repository: Repository) -> None:
    repository.subject(proposal=V1)
    code, out = repository.check()
    assert code == 0
    assert "flights-value: new - schemas/flights-value/next.avsc has no version before it" in out


def test_what_the_latest_version_broke_already_is_not_this_changes_fault(repository: Repository) -> None:
    broken = schema("carrier", "gate")
    repository.subject(
        schema("carrier"), broken, proposal=schema("carrier", "gate", optional("tail")), mode="BACKWARD_TRANSITIVE"
    )
    code, out = repository.check()
    assert code == 0, out
    assert "passed over: AVR003 reader-field-without-default at /fields/gate: it was so before this change" in out
    repository.write("schemas/flights-value/next.avsc", schema("carrier", "gate", "tail"))
    code, out = repository.check()
    assert code == 1
    assert "/fields/tail" in out


# --- consumers ---------------------------------------------------------------------------------------------------------


def test_a_removed_field_that_a_consumer_reads_fails_and_names_the_consumer(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "tailnum"))
    repository.consumer(schema("carrier", "dep_delay"))
    code, out = repository.check()
    assert code == 1
    assert "breaks: consumer air-traffic, which reads dep_delay: data-platform, data-platform@example.org" in out, out
    code, subject = repository.findings()
    (finding,) = [one for one in subject["findings"] if one["fails"]]
    assert finding["consumer"] == {
        "name": "air-traffic",
        "owner": "data-platform",
        "contact": "data-platform@example.org",
        "last_read_ms": None,
    }
    assert (finding["field"], finding["direction"]) == ("dep_delay", "consumer reads new")


def test_a_removed_field_that_nobody_reads_passes(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay"))
    repository.consumer(schema("carrier", "dep_delay"))
    code, out = repository.check()
    assert code == 0, out
    assert "the contracts of air-traffic (data-platform) read it as they are" in out


def test_a_field_that_would_be_filled_in_silently_fails_for_its_consumer(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "tailnum"))
    repository.consumer(schema("carrier", optional("dep_delay")))
    code, out = repository.check()
    assert code == 1
    assert "air-traffic, which reads dep_delay" in out


def test_contracts_are_held_against_the_latest_version_where_nothing_is_proposed(repository: Repository) -> None:
    repository.subject(V1, schema("carrier", "tailnum"))
    repository.consumer(schema("carrier", "dep_delay"))
    code, out = repository.check()
    assert code == 1
    assert "consumer air-traffic on version 2, which reads dep_delay" in out
    repository.consumer(schema("carrier"))
    assert repository.check()[0] == 0


def test_one_contract_is_held_against_every_version(repository: Repository) -> None:
    repository.subject(schema("carrier"), V1)
    repository.consumer(schema("carrier", "dep_delay"))
    assert repository.check()[0] == 0
    code, out = repository.check("--consumer", "schemas/flights-value/consumers/air-traffic.avsc")
    assert code == 1
    assert "consumer air-traffic on version 1, which reads dep_delay" in out


# --- waivers -----------------------------------------------------------------------------------------------------------

WAIVER = '[[waiver]]\nrule = "{rule}"\npath = "{path}"\nreason = "nobody reads it yet"\nuntil = {until}\n'


def test_a_waiver_lets_one_finding_pass_until_its_end_date(repository: Repository) -> None:
    proposal = schema("carrier", "dep_delay", "tailnum", "gate")
    waiver = WAIVER.format(rule="AVR003", path="/fields/gate", until="2999-12-31")
    repository.subject(V1, proposal=proposal, extra=waiver)
    code, out = repository.check()
    assert code == 0, out
    assert "passed over: AVR003 reader-field-without-default at /fields/gate: waived until 2999-12-31" in out


@pytest.mark.parametrize(
    "waiver",
    [
        WAIVER.format(rule="AVR001", path="/fields/gate", until="2999-12-31"),
        WAIVER.format(rule="AVR003", path="/fields/ga", until="2999-12-31"),
    ],
)
def test_a_waiver_covers_its_rule_and_path_alone(repository: Repository, waiver: str) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", "gate"), extra=waiver)
    assert repository.check()[0] == 1


def test_a_waiver_that_has_ended_is_a_finding(repository: Repository) -> None:
    waiver = WAIVER.format(rule="AVR003", path="/fields/gate", until="2020-01-31")
    repository.subject(V1, proposal=V1, extra=waiver)
    code, out = repository.check()
    assert code == 1
    assert "PSM002 expired-waiver" in out
    assert "ended on 2020-01-31" in out


def test_a_consumer_can_waive_what_concerns_it(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "tailnum"))
    repository.consumer(schema("carrier", optional("dep_delay")))
    _, subject = repository.findings()
    (finding,) = [one for one in subject["findings"] if one["fails"]]
    waiver = WAIVER.format(rule=finding["rule"], path=finding["path"], until="2999-12-31")
    repository.consumer(schema("carrier", optional("dep_delay")), waiver)
    assert repository.check()[0] == 0


# --- git ---------------------------------------------------------------------------------------------------------------


def test_against_a_revision_new_versions_are_proposals_and_released_ones_are_immutable(repository: Repository) -> None:
    repository.subject(V1)
    repository.commit()
    repository.write("schemas/flights-value/v2.avsc", schema("carrier", "gate"))
    code, out = repository.check("--against", "git:main")
    assert code == 1
    assert "schemas/flights-value/v2.avsc against version 1" in out
    repository.write("schemas/flights-value/v2.avsc", schema("carrier", optional("gate")))
    repository.write("schemas/flights-value/next.avsc", schema("carrier", optional("gate"), "tail"))
    code, subject = repository.findings("--against", "git:main")
    assert (code, subject["status"]) == (1, "compatible")
    repository.write("schemas/flights-value/v1.avsc", V1.replace("tailnum", "tail"))
    code, out = repository.check("--against", "git:main")
    assert code == 1
    assert "PSM001 released-version-changed" in out
    assert "version 1 was released, and v1.avsc says something else now" in out


def test_a_released_version_that_is_gone_is_a_finding(repository: Repository) -> None:
    repository.subject(V1, V1.replace("tailnum", "tail"))
    repository.commit()
    (repository.folder / "schemas/flights-value/v2.avsc").unlink()
    code, out = repository.check("--against", "git:main")
    assert code == 1
    assert "v2.avsc is not there any more" in out


def test_a_subject_whose_folder_is_gone_is_a_finding(repository: Repository) -> None:
    repository.subject(V1)
    repository.commit()
    (repository.folder / "schemas/flights-value").rename(repository.folder / "schemas/departures-value")
    for arguments in ((), ("--subject", "flights-value")):
        code, out = repository.check("--against", "git:main", *arguments)
        assert code == 1, out
        assert "the subject was released, and its folder is not there any more" in out


@pytest.mark.parametrize(("before", "now"), [("BACKWARD", "NONE"), ("BACKWARD_TRANSITIVE", "FORWARD")])
def test_a_promise_that_is_lowered_holds_for_the_change_that_lowers_it(
    repository: Repository, before: str, now: str
) -> None:
    repository.subject(V1, mode=before)
    repository.commit()
    repository.subject(proposal=schema("carrier", "dep_delay", "tailnum", "gate"), mode=now)
    code, out = repository.check("--against", "git:main")
    assert code == 1
    assert f"judged by {before} and profile confluent, as promised before this change" in out
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "lowered")
    assert repository.check("--against", "git:main")[0] == 0


def test_a_folder_that_the_revision_lacks_is_new(repository: Repository) -> None:
    repository.write("README", "")
    repository.commit()
    repository.subject(V1)
    code, out = repository.check("--against", "git:main")
    assert code == 0, out
    assert "flights-value: new" in out


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [("git:nowhere", "git knows no such revision here"), ("main", "write git:REVISION"), ("git:--all", "dash")],
)
def test_a_revision_that_is_none(repository: Repository, revision: str, sentence: str) -> None:
    repository.subject(V1)
    repository.commit()
    code, out = repository.check("--against", revision)
    assert code == 2
    assert sentence in out


def test_the_window_leaves_out_versions_that_nobody_can_read_any_more(repository: Repository) -> None:
    repository.subject(schema("carrier"))
    repository.commit("2020-01-01T00:00:00Z")
    repository.write("schemas/flights-value/v2.avsc", schema("carrier", optional("gate")))
    repository.commit("2020-02-01T00:00:00Z")
    repository.subject(proposal=schema("carrier", {"name": "gate", "type": ["null", "string"]}), mode="FULL_TRANSITIVE")
    assert repository.check()[0] == 1
    code, out = repository.check("--window", "7d")
    assert code == 0, out
    assert "version 1 is older than the window and not looked at" in out
    assert repository.check("--window", "soon")[0] == 2


# --- what cannot be decided, and mistakes ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{", '{"type": "recrod"}', '{"type": "record", "name": "F"}', ""])
def test_a_schema_that_cannot_be_parsed_is_no_pass(repository: Repository, text: str) -> None:
    repository.subject(V1, proposal=text)
    code, out = repository.check()
    assert code == 3
    assert "flights-value: undecided" in out
    assert "schemas/flights-value/next.avsc" in out


def test_the_other_subjects_are_checked_all_the_same(repository: Repository) -> None:
    repository.subject(V1, proposal="{")
    repository.write("schemas/zz-value/subject.toml", SUBJECT.format(mode="BACKWARD"))
    repository.write("schemas/zz-value/v1.avsc", V1)
    repository.write("schemas/zz-value/next.avsc", schema("carrier", "gate"))
    code, out = repository.check()
    assert code == 3
    assert "zz-value: incompatible" in out
    assert "2 subjects: 1 undecided, 1 incompatible" in out


def test_nothing_to_check_here(repository: Repository) -> None:
    code, out = repository.check()
    assert code == 2
    assert "run this in a repository with a prism.toml or a folder schemas/" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.avsc"], "a.avsc: --subject is missing"),
        (["a.txt", "--subject", "new-value"], "the ending must be .avsc"),
        (["a.avsc", "--consumer", "b.avsc"], "are two checks"),
        (["--registry", "nowhere"], "--registry nowhere: no such folder"),
        (["--format", "xml"], "xml"),
    ],
)
def test_wrong_options(repository: Repository, arguments: list[str], sentence: str) -> None:
    repository.subject(V1)
    repository.write("a.avsc", V1)
    code, out = repository.check(*arguments)
    assert (code, sentence in out) == (2, True), out


def test_one_schema_for_one_subject(repository: Repository) -> None:
    repository.subject(V1)
    repository.write("flight.avsc", schema("carrier", "gate"))
    code, out = repository.check("flight.avsc", "--subject", "flights-value")
    assert code == 1
    assert "flight.avsc:3" in out
    code, out = repository.check("flight.avsc", "--subject", "other-value", "--registry", "schemas")
    assert code == 0
    assert "other-value: new" in out


def test_subjects_of_the_project_file_may_lie_elsewhere(repository: Repository) -> None:
    repository.subject(V1)
    repository.write("src/flight.avsc", schema("carrier", "gate"))
    entry = '[[subject]]\nname = "flights-value"\nschema = "src/flight.avsc"\n'
    repository.write("prism.toml", f'[registry]\nurl = "schemas"\n\n{entry}')
    code, out = repository.check()
    assert code == 1
    assert "src/flight.avsc:3" in out


# --- for programs ------------------------------------------------------------------------------------------------------


def test_github_annotations_stand_at_file_and_line_and_escape_what_they_must(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", "gate"))
    code, out = repository.check("--format", "github")
    assert code == 1
    first, *_, last = out.splitlines()
    head = "::error file=schemas/flights-value/next.avsc,line=5,title=AVR003 reader-field-without-default::"
    assert first.startswith(head)
    assert "%0Ainstead: " in first
    assert last == "1 subject: 1 incompatible"


def test_junit_has_a_case_a_subject(repository: Repository) -> None:
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", "gate"))
    code, out = repository.check("--format", "junit")
    assert code == 1
    suite = ET.fromstring(out)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "AVR003"
    repository.write("schemas/flights-value/next.avsc", "\x01{")
    code, out = repository.check("--format", "junit")
    assert (code, ET.fromstring(out).get("errors")) == (3, "1")


def test_help_shows_examples_and_exit_codes(repository: Repository) -> None:
    code, out = repository.check("--help")
    assert code == 0
    assert "prism-check-schema --against git:origin/main" in out
    assert "Exit codes: 0 compatible, 1 a finding, 2 wrong usage or configuration, 3 could not be decided" in out


@pytest.mark.parametrize(
    ("extra", "sentence"), [("", "air-traffic.avsc: no such file"), ("unknown = 1\n", "'unknown'")]
)
def test_a_contract_that_is_not_in_order_leaves_its_subject_undecided(
    repository: Repository, extra: str, sentence: str
) -> None:
    repository.subject(V1, proposal=V1)
    repository.write("schemas/flights-value/consumers/air-traffic.toml", CONSUMER + extra)
    code, out = repository.check()
    assert code == 3
    assert sentence in out


# --- starting ----------------------------------------------------------------------------------------------------------


# What click imports is not ours to choose: inspect, gettext, uuid, threading.
NEEDLESS = """
    argparse asyncio decimal difflib email hashlib http importlib.metadata logging shutil socket sqlite3 ssl subprocess tarfile
    tempfile traceback xml zipfile
    fastavro google.protobuf jsonschema orjson pluggy pydantic rich urllib3
    prismlib.config prismlib.contracts.revision prismlib.contracts.verdicts prismlib.plugin prismlib.runtime prismlib.stages
    prism_avro.plugin prism_avro.decoding prism_avro.compatibility.lines
"""


def test_a_check_starts_without_what_it_does_not_need(repository: Repository) -> None:
    repository.subject(V1, proposal=V1)
    code = (
        "import sys\n"
        "from prismlib.cli.check_schema import execute\n"
        "ended = execute([])\n"
        f"sys.exit(' '.join(sorted({set(NEEDLESS.split())} & sys.modules.keys())) or ended)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 subject: 1 unchanged" in done.stdout


# --- many subjects -----------------------------------------------------------------------------------------------------


def test_what_cannot_be_decided_does_not_hide_the_verdicts_of_others(repository: Repository) -> None:
    large = {
        "type": "record",
        "name": "R",
        "fields": [{"name": f"r{n}", "type": "int", "default": 0} for n in range(1100)],
    }
    many = [{"name": f"z{n}", "type": "R", "default": {}} for n in range(1000)]
    repository.subject(V1, proposal=schema("carrier", "dep_delay", "tailnum", "gate"))
    for name, text in {
        "broken-value": "{",
        "large-value": json.dumps([large, {"type": "record", "name": "Z", "fields": many}]),
        "plain-value": schema("carrier"),
    }.items():
        repository.write(f"schemas/{name}/subject.toml", SUBJECT.format(mode="BACKWARD"))
        repository.write(f"schemas/{name}/next.avsc", text)
    code, out = repository.check("--format", "json")
    subjects = {one["subject"]: one for one in json.loads(out)["subjects"]}
    assert code == 3
    assert {name: one["status"] for name, one in subjects.items()} == {
        "broken-value": "undecided",
        "flights-value": "incompatible",
        "large-value": "undecided",
        "plain-value": "new",
    }
    assert "the defaults are too large" in subjects["large-value"]["error"]
    assert "broken-value" in subjects["broken-value"]["error"]


def test_more_subjects_than_are_parsed_together(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.contracts.gate._TEXTS_AT_ONCE", 5)
    statuses = {}
    for number in range(7):
        breaks = number % 3 == 0
        repository.write(f"schemas/s{number}/subject.toml", SUBJECT.format(mode="BACKWARD"))
        repository.write(f"schemas/s{number}/v1.avsc", schema(f"f{number}"))
        repository.write(f"schemas/s{number}/next.avsc", schema(f"f{number}", *(["gate"] if breaks else [])))
        statuses[f"s{number}"] = "incompatible" if breaks else "unchanged"
    code, out = repository.check("--format", "json")
    assert code == 1
    assert {one["subject"]: one["status"] for one in json.loads(out)["subjects"]} == statuses
