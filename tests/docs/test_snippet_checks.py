"""A wrong snippet is found, with page and line."""

from __future__ import annotations

import pytest

from tests.docs.checks import CHECKS, check
from tests.docs.files import PIPELINE
from tests.docs.pages import Block, read_blocks


def only(text: str) -> Block:
    (block,) = read_blocks("docs/how-to/planted.md", text)
    return block


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: worker
          image: registry.example.org/shop:1
          args: ["run", "shop.toml", "--worker", "$(POD_NAME)"]
          env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          volumeMounts: [{name: files, mountPath: /files}]
          securityContext:
            {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumes: [{name: files, configMap: {name: shop}}]
"""
SOUND = {
    "console": "$ prism check shop.toml\nwhat  state\n",
    "dockerfile": 'FROM python:3.13-slim\nENTRYPOINT ["prism"]\n',
    "json": "{}\n",
    "proto": 'syntax = "proto3";\nmessage Order { string id = 1; }\n',
    "python": "from prismlib.records import Partition\n",
    "sh": "prism run shop.toml --workers 2   # a comment\n",
    "text": "a -> b\n",
    "toml": PIPELINE,
    "yaml": DEPLOYMENT,
}


def test_every_way_to_check_passes_something_sound() -> None:
    assert SOUND.keys() == CHECKS.keys()
    for language, text in SOUND.items():
        check(only(f"```{language}\n{text}```\n"))
    check(only("Indented:\n\n    prism plugins\n"))


@pytest.mark.parametrize(
    ("language", "text", "says"),
    [
        ("", "prism plugins\n", "a block tagged '' cannot be checked"),
        ("cobol", "STOP RUN.\n", "a block tagged 'cobol' cannot be checked"),
        ("console", "prism plugins\n", 'the first line of a console block is a command after "$ "'),
        ("console", "$ prism plugin\n", "did you mean 'plugins'?"),
        ("sh", "prism run shop.toml --worker 1 --threads 2\n", "No such option '--threads'"),
        ("sh", "prism run\n", "Missing argument 'PIPELINE.toml'"),
        ("sh", "prism run shop.toml --workers \\\n  many\n", "'many' is not a valid integer"),
        ("sh", "prism dev up --only kafca\n", "'kafca' is none of kafka"),
        ("sh", "PRISM_DEBUG=1 prism plugins | prism plugin\n", "There is no command 'plugin'"),
        ("sh", "prism-check-schemata\n", "there is no command prism-check-schemata"),
        ("sh", "scripts/tets\n", "there is no scripts/tets"),
        ("sh", 'pip install "prism-pipeline[kafak]"\n', "there is no extra 'kafak'"),
        ("sh", "reboot\n", "reboot is none of the programs"),
        ("text", "prism plugins\n", "commands are tagged sh or console"),
        ("json", "{a: 1}\n", "not valid JSON"),
        ("proto", "message Order {}}\n", "line 1"),
        ("python", "x = 1\ny = = 2\n", "planted.md:3: invalid syntax"),
        ("python", "from prismlib.records import Partitions\n", "No module named 'prismlib.records.Partitions'"),
        ("python", "import prismlib.recods\n", "No module named 'prismlib.recods'"),
        ("toml", PIPELINE.replace("servers", "severs"), "unknown key 'severs'; did you mean 'servers'?"),
        ("toml", PIPELINE.replace('start = "earliest"\n', ""), "the key 'start' is missing"),
        ("toml", '[source]\ntype = "kafka"\nservers = "a:1"\noptions."group.id" = "x"\n', "group.id is refused"),
        ("toml", '[[route]]\ntopic = "a"\ndecode = { type = "afro" }\n', "did you mean 'avro'?"),
        ("toml", '[event]\nx = { from = "a", cats = "int" }\n', "unknown key 'cats'; did you mean 'cast'?"),
        ("toml", '[storage]\npaht = ".prism"\n', "unknown key 'storage.paht'; did you mean 'path'?"),
        ("toml", 'format = "avor"\n', "'format' must be one of"),
        ("toml", '[[waiver]]\nrule = "AVR003"\n', "the key 'waiver[0].path' is missing"),
        ("toml", 'colour = "red"\n', "the keys colour are of no file"),
        ("toml", "a = \n", "not valid TOML"),
        ("toml", '[project.entry-points.prism]\na = "b"\n', "are of the group prismlib"),
        ("dockerfile", "FROM x\nENTRYPOINT prism\n", "ENTRYPOINT must be a list"),
        ("dockerfile", "FORM x\n", "FORM is none of"),
        ("yaml", "a: [\n", "not valid YAML"),
        ("yaml", DEPLOYMENT.replace("args", "arg"), "arg: Extra inputs"),
        ("yaml", DEPLOYMENT.replace("labels: {app: shop}", "labels: {app: shoq}"), "does not match the pods'"),
        ("yaml", DEPLOYMENT.replace("{name: files, mount", "{name: file, mount"), "which is no volume of the pod"),
        ("yaml", DEPLOYMENT.replace("{name: POD_NAME", "{name: POD"), "the container has no variable POD_NAME"),
        ("yaml", DEPLOYMENT.replace("--worker", "--wroker"), "No such option '--wroker'"),
        (
            "yaml",
            'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  m.toml: "[event]\\nx = 5"\n',
            "event.x: must be a path or a table",
        ),
    ],
)
def test_a_wrong_block_is_found(language: str, text: str, says: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check(only(f"```{language}\n{text}```\n"))
    assert says in str(caught.value)
    assert "planted.md:" in str(caught.value)


def test_a_quotation_is_compared_with_its_file() -> None:
    page = "<!-- from tests/docs/pages.py -->\n```python\n{}```\n"
    check(only(page.format("@property\ndef where(self) -> str:\n")))
    for other in ("def where(self) -> int:\n", "where(self) -> str:\n"):
        with pytest.raises(AssertionError, match=r"planted.md:3: tests/docs/pages.py does not say this"):
            check(only(page.format(other)))


def test_files_are_named_right_before_their_block() -> None:
    assert only("Write `a/b.toml`:\n\n```toml\n```\n").file == "a/b.toml"
    assert only("Write `a/b.toml`.\n\n```toml\n```\n").file == ""
    assert only("Write `a/b.toml`:\n\nAnd more.\n\n```toml\n```\n").file == ""
