"""The gate, `prism schema register` and `prism schema import` against a registry over HTTP."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prismlib.cli.check_schema import execute as check_schema
from prismlib.cli.main import execute as prism
from tests.serving import Served, record

CONTRACT = """
owner = "finance"
contact = "finance@example.org"
reads = ["b"]

[[waiver]]
rule = "AVR001"
path = "/fields/zz"
reason = "not at all"
until = 2999-01-01
"""


class Repository:
    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.url = url
        self._capsys = capsys

    def write(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return name

    def _run(self, command: Callable[[list[str]], int], arguments: tuple[str, ...]) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = command(list(arguments))
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    def check(self, *arguments: str) -> tuple[int, str, str]:
        return self._run(check_schema, arguments)

    def prism(self, *arguments: str) -> tuple[int, str, str]:
        return self._run(prism, arguments)


@pytest.fixture
def repository(
    tmp_path: Path, server: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Repository:
    monkeypatch.chdir(tmp_path)
    return Repository(tmp_path, server.url, capsys)


def test_a_new_subject_passes_and_is_called_new(repository: Repository, subject: str) -> None:
    schema = repository.write("s.avsc", record("a"))
    code, out, _ = repository.check(schema, "--subject", subject, "--registry", repository.url)
    assert code == 0
    assert out.splitlines()[0].startswith(f"{subject}: new")
    assert "no version before it" in out


def test_the_environment_names_the_registry(
    repository: Repository, server: Served, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.register(subject, record("a"))
    schema = repository.write("s.avsc", record("a", "b"))
    monkeypatch.setenv("PRISM_REGISTRY_URL", repository.url)
    assert repository.check(schema, "--subject", subject)[0] == 1
    repository.write("prism.toml", '[registry]\nurl = "elsewhere"\n')
    assert repository.check(schema, "--subject", subject)[0] == 1


def test_what_breaks_fails_at_the_level_of_the_registry(repository: Repository, server: Served, subject: str) -> None:
    server.register(subject, record("a"))
    schema = repository.write("s.avsc", record("a", "b"))
    code, out, _ = repository.check(schema, "--subject", subject, "--registry", repository.url)
    assert code == 1
    assert "AVR003" in out
    server.ask("PUT", f"/config/{subject}", {"compatibility": "FORWARD"})
    assert repository.check(schema, "--subject", subject, "--registry", repository.url)[0] == 0


def test_proposals_of_prism_toml_are_checked(repository: Repository, server: Served, subject: str) -> None:
    server.register(subject, record("a"))
    repository.write("s.avsc", record("a", "b"))
    tables = "".join(f'[[subject]]\nname = "{name}"\nschema = "s.avsc"\n' for name in (subject, f"{subject}-2"))
    repository.write("prism.toml", f'[registry]\nurl = "{repository.url}"\n{tables}')
    code, out, _ = repository.check("--format", "json")
    found = json.loads(out)
    assert (code, [one["status"] for one in found["subjects"]]) == (1, ["incompatible", "new"])
    assert repository.check("--subject", f"{subject}-2")[0] == 0
    assert repository.check("s.avsc")[0] == 1  # named by its file


def test_a_registry_that_does_not_answer_is_never_a_pass(repository: Repository, tmp_path: Path) -> None:
    schema = repository.write("s.avsc", record("a"))
    repository.write("prism.toml", '[registry]\nurl = "http://127.0.0.1:9"\ntimeout = "300ms"\n')
    code, out, err = repository.check(schema, "--subject", "s")
    assert (code, out) == (3, "")
    assert "gave no answer" in err
    repository.write(
        "prism.toml",
        '[registry]\nurl = "http://127.0.0.1:9"\ntimeout = "300ms"\n[[subject]]\nname = "s"\nschema = "s.avsc"\n',
    )
    code, out, _ = repository.check()
    assert code == 3
    assert "s: undecided" in out


def test_missing_rights_are_never_a_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prism.toml").write_text('[serve]\nread_token = "right"\n')
    with Served(tmp_path) as guarded:
        repository = Repository(tmp_path, guarded.url, capsys)
        schema = repository.write("s.avsc", record("a"))
        for token, code in (("wrong", 3), ("right", 0)):
            repository.write("prism.toml", f'[registry]\nurl = "{guarded.url}"\ntoken = "{token}"\n')
            assert repository.check(schema, "--subject", "s")[0] == code
        # To register needs more.
        code, _, err = repository.prism("schema", "register", schema, "--subject", "s", "--yes")
        assert code == 3
        assert "status 403" in err


def test_contracts_travel_through_the_registry(repository: Repository, server: Served, subject: str) -> None:
    server.register(subject, record("a?", "b?"))
    repository.write("contracts/billing.toml", CONTRACT)
    file = repository.write("contracts/billing.avsc", record("b"))
    arguments = ("schema", "register", "--consumer", file, "--subject", subject, "--registry", repository.url)
    code, out, err = repository.prism(*arguments)
    assert code == 0
    assert "dry run" in err
    assert server.ask("GET", f"/subjects?subjectPrefix={subject}.readers.") == (200, [])
    code, out, _ = repository.prism(*arguments, "--yes")
    assert code == 0
    assert f"registered {subject}.readers.billing version 1" in out
    assert repository.prism(*arguments, "--yes")[1].endswith(out[out.index("registered") :])  # and adds nothing
    usage = {"consumer": "billing", "subject": subject, "version": 1, "fields": ["b"], "at": 1000}
    server.ask("POST", "/prism/usage", usage)
    schema = repository.write("s.avsc", record("a?"))
    code, out, _ = repository.check(schema, "--subject", subject, "--registry", repository.url)
    assert code == 1
    assert "breaks: consumer billing, which reads b: finance, finance@example.org (last read" in out
    code, out, _ = repository.check("--consumer", file, "--subject", subject, "--registry", repository.url)
    assert code == 0
    repository.write("contracts/billing.avsc", record("nowhere"))
    assert repository.check("--consumer", file, "--subject", subject, "--registry", repository.url)[0] == 1
    assert repository.prism(*arguments, "--yes")[0] == 1
    assert server.ask("GET", f"/subjects/{subject}.readers.billing/versions") == (200, [1])


def test_references_are_named_on_the_command_line(repository: Repository, server: Served, subject: str) -> None:
    server.register(f"{subject}-inner", record("a", name="Inner"))
    schema = repository.write("s.avsc", {"type": "record", "name": "O", "fields": [{"name": "i", "type": "Inner"}]})
    where = ("--subject", subject, "--registry", repository.url)
    assert repository.check(schema, *where)[0] == 3
    reference = ("--reference", f"Inner={subject}-inner:1")
    assert repository.check(schema, *where, *reference)[0] == 0
    assert repository.check(schema, *where, "--reference", "Inner")[0] == 2
    code, out, _ = repository.prism("schema", "register", schema, *where, *reference, "--yes", "--json")
    assert (code, json.loads(out)["registered"]["version"]) == (0, 1)
    found = server.ask("GET", f"/subjects/{subject}/versions/1")[1]
    assert found["references"] == [{"name": "Inner", "subject": f"{subject}-inner", "version": 1}]


def test_the_window_is_that_of_the_registry(repository: Repository, server: Served, subject: str) -> None:
    server.ask("PUT", f"/config/{subject}", {"compatibility": "NONE"})
    for fields in (["a"], ["b"]):
        server.register(subject, record(*fields))
    server.ask("PUT", f"/config/{subject}", {"compatibility": "BACKWARD_TRANSITIVE"})
    schema = repository.write("s.avsc", record("b"))
    code, out, _ = repository.check(
        schema, "--subject", subject, "--registry", repository.url, "--window", "1h", "--format", "json"
    )
    # Both were registered a moment ago; that the latest breaks version 1 was so before.
    assert (code, json.loads(out)["subjects"][0]["against"]) == (0, [1, 2])
    with sqlite3.connect(server.folder / ".prism" / "registry.db") as file:
        file.execute("UPDATE versions SET registered_ms = 1000 WHERE subject = ? AND version = 2", [subject])
    file.close()
    code, out, _ = repository.check(schema, "--subject", subject, "--registry", repository.url, "--window", "1h")
    assert code == 0
    assert "version 1 is older than the window and not looked at" in out


def test_options_that_do_not_go_together(repository: Repository, subject: str) -> None:
    schema = repository.write("s.avsc", record("a"))
    for arguments in (
        (schema,),
        (schema, "--subject", subject, "--against", "git:main"),
        (),
        ("--consumer", schema, schema),
    ):
        code, _, err = repository.check(*arguments, "--registry", repository.url)
        assert (code, len(err.splitlines())) == (2, 1), err


def test_what_fails_is_not_registered(repository: Repository, server: Served, subject: str) -> None:
    server.register(subject, record("a"))
    schema = repository.write("s.avsc", record("a", "b"))
    code, out, err = repository.prism(
        "schema", "register", schema, "--subject", subject, "--registry", repository.url, "--yes"
    )
    assert code == 1
    assert "AVR003" in out
    assert "Nothing was registered" in err
    assert server.ask("GET", f"/subjects/{subject}/versions") == (200, [1])


def test_a_proposal_of_a_folder_becomes_a_version(repository: Repository) -> None:
    head = 'format = "avro"\ncompatibility = "BACKWARD"\nowner = "o"\ncontact = "c"\n'
    repository.write("schemas/inner/subject.toml", head)
    repository.write("schemas/inner/v1.avsc", record("a", name="Inner"))
    repository.write(
        "schemas/s/subject.toml", f'{head}\n[references.next]  # kept\n"Inner" = {{ subject = "inner", version = 1 }}\n'
    )
    text = '{"type": "record", "name": "O",\n "fields": [{"name": "i", "type": "Inner"}]}\n'
    schema = repository.write("schemas/s/next.avsc", text)
    assert repository.prism("schema", "register", schema)[0] == 0
    assert (repository.folder / schema).exists()
    code, out, _ = repository.prism("schema", "register", schema, "--yes")
    assert code == 0
    assert "registered s version 1, id " in out
    assert not (repository.folder / schema).exists()
    assert (repository.folder / "schemas/s/v1.avsc").read_text() == text
    assert "[references.v1]  # kept" in (repository.folder / "schemas/s/subject.toml").read_text()
    assert repository.check()[0] == 0
    other = repository.write("other.avsc", text.replace('"O"', '"O", "doc": "more"'))
    code, _, err = repository.prism(
        "schema", "register", other, "--subject", "s", "--reference", "Inner=inner:1", "--yes"
    )
    assert code == 0, err
    assert repository.check()[0] == 0
    broken = repository.write("schemas/s/next.avsc", record("a", "b", name="O"))
    assert repository.prism("schema", "register", broken, "--yes")[0] == 1
    assert (repository.folder / broken).exists()


def test_import_keeps_ids_versions_references_metadata_and_levels(
    repository: Repository, server: Served, subject: str, tmp_path: Path
) -> None:
    name = f"N{subject[2:]}"
    server.register(f"{subject}-a", record("x", name=name))
    gap = server.register(f"{subject}-a", record("x", "y?", name=name))
    server.register(f"{subject}-a", record("x", "z?", name=name), metadata={"properties": {"owner": "me"}})
    server.ask("DELETE", f"/subjects/{subject}-a/versions/2")
    outer = {"type": "record", "name": "O", "fields": [{"name": "i", "type": name}]}
    server.register(f"{subject}-b", outer, references=[{"name": name, "subject": f"{subject}-a", "version": 3}])
    server.ask("PUT", f"/config/{subject}-a", {"compatibility": "FULL"})
    (tmp_path / "own").mkdir()
    with Served(tmp_path / "own") as own:
        arguments = ("schema", "import", server.url, "--subjects", f"{subject}-b", "--registry", own.url)
        code, out, err = repository.prism(*arguments, "--json")
        rows = json.loads(out)
        assert code == 0
        assert "dry run" in err
        assert {(row["subject"], row["version"], row["state"]) for row in rows} == {
            (f"{subject}-a", 1, "to_import"),
            (f"{subject}-a", 3, "to_import"),
            (f"{subject}-b", 1, "to_import"),
        }
        assert own.ask("GET", "/subjects") == (200, [])
        for state in ("imported", "there"):
            code, out, _ = repository.prism(*arguments, "--json", "--yes")
            assert (code, {row["state"] for row in json.loads(out)}) == (0, {state})
        for path in (
            f"/subjects/{subject}-a/versions/3",
            f"/subjects/{subject}-b/versions/1",
            f"/subjects/{subject}-a/versions/1",
        ):
            (there, found), (status, wanted) = own.ask("GET", path), server.ask("GET", path)
            assert (there, status) == (200, 200)
            assert {**found, "ts": 0} == {**wanted, "ts": 0}
        assert own.ask("GET", f"/schemas/ids/{gap}")[0] == 404
        assert own.ask("GET", f"/config/{subject}-a") == (200, {"compatibilityLevel": "FULL"})
        assert own.ask("GET", f"/mode/{subject}-a")[0] == 404
        # Afterwards it is an ordinary subject again.
        own.register(f"{subject}-a", record("x", "w?", name=name))


def test_ids_that_clash_are_refused_and_named(
    repository: Repository, server: Served, subject: str, tmp_path: Path
) -> None:
    number = server.register(subject, record("mine", name=f"C{subject[2:]}"))
    (tmp_path / "own").mkdir()
    with Served(tmp_path / "own") as own:
        own.ask("PUT", "/mode/other", {"mode": "IMPORT"})
        own.register("other", record("theirs"), id=number, version=1)
        for more in ((), ("--yes",)):
            code, out, _ = repository.prism(
                "schema", "import", server.url, "--subjects", subject, "--registry", own.url, "--json", *more
            )
            (row,) = json.loads(out)
            assert (code, row["state"]) == (1, "clash")
            assert row["problem"] == f"the id {number} belongs to other version 1 there"
        assert own.ask("GET", "/subjects") == (200, ["other"])
    # A registry of others takes no ids.
    code, _, err = repository.prism("schema", "import", "schemas", "--registry", server.url)
    assert code == 2
    assert "write the address of a registry" in err


def test_the_gate_imports_neither_pydantic_nor_a_plugin_for_a_folder(repository: Repository) -> None:
    repository.write(
        "schemas/s/subject.toml", 'format = "avro"\ncompatibility = "BACKWARD"\nowner = "o"\ncontact = "c"\n'
    )
    repository.write("schemas/s/v1.avsc", record("a"))
    script = (
        "import sys\nfrom prismlib.cli.check_schema import execute\nassert execute([]) == 0\n"
        "assert not {'pydantic', 'pluggy', 'rich', 'urllib3', 'fastapi'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
