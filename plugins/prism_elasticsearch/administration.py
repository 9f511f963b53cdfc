"""Setup and preflight of the Elasticsearch side of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson

from prism_elasticsearch import templates
from prism_elasticsearch.config import ElasticsearchConfig
from prism_elasticsearch.connection import Connection, check_version, for_commands
from prism_elasticsearch.generations import Alias, index_in_the_way, look_up
from prismlib.errors import ConfigError, FatalError, RetryableError
from prismlib.plugin.hookspecs import Check, SetupStep

_SETUP = "run `prism setup PIPELINE.toml --yes`"


class ElasticsearchAdministration:
    """See :class:`prismlib.plugin.hookspecs.Administration`. Uses the core of Elasticsearch only."""

    def __init__(self, connection: Connection, config: ElasticsearchConfig) -> None:
        """Nothing is asked of the server yet; the connection is closed with this."""
        self._connection = connection
        self._config = config

    def plan(self) -> Sequence[SetupStep]:
        """Template, first generation behind its alias, ledger. Raises ConfigError, UnreachableError."""
        with for_commands():
            check_version(self._connection)
            return [self._template_step(), self._alias_step(), self._ledger_step()]

    def preflight(self) -> Sequence[Check]:
        """Server, credentials, alias, template, ledger, rights."""
        return list(self._checks())

    def close(self) -> None:
        """Close connections."""
        self._connection.close()

    # --- setup ---------------------------------------------------------------------------------------------------------

    def _template_step(self) -> SetupStep:
        alias = self._config.alias
        what = f"index template {alias} for {alias}-*"
        expected = templates.events(self._config)
        found = self._template(alias)
        return SetupStep(
            what=what,
            exists=found is not None and templates.is_same(expected, found),
            apply=partial(self._put, f"/_index_template/{alias}", expected),
            problem=_foreign(alias, found),
        )

    def _alias_step(self) -> SetupStep:
        alias = self._config.alias
        index = templates.first_generation(alias)
        what = f"index {index} behind the alias {alias}"
        found = look_up(self._connection, alias)
        problem = _alias_problem(alias, found)
        if (
            not problem
            and not found.generations
            and self._connection.json("GET", f"/{index}?filter_path=*.aliases") is not None
        ):
            problem = (
                f"the index {index!r} exists without the alias {alias!r}; delete it, or, if its documents are the pipeline's, "
                f"add the alias to it with is_write_index"
            )
        return SetupStep(
            what=what, exists=bool(found.generations) and not problem, apply=self._create_generation, problem=problem
        )

    def _ledger_step(self) -> SetupStep:
        name = self._config.ledger_index
        expected = templates.ledger(self._config)
        template = self._template(name)
        index = self._connection.json("GET", f"/{name}?filter_path=*.mappings.properties")
        problem = _foreign(name, template)
        complete = False
        if index is not None and not problem:
            wanted = expected["template"]["mappings"]["properties"]
            fields = index.get(name, {}).get("mappings", {}).get("properties", {})
            complete = fields == wanted
            of_prism = fields.keys() >= templates.FIRST_LEDGER_FIELDS and fields.items() <= wanted.items()
            if not of_prism:
                problem = f"the index {name!r} is not a ledger of Prism; set ledger_index to another name"
        return SetupStep(
            what=f"ledger index {name}",
            exists=complete and template is not None and templates.is_same(expected, template),
            apply=partial(self._create_ledger, expected, exists=index is not None, complete=complete),
            problem=problem,
        )

    def _create_generation(self) -> None:
        alias = self._config.alias
        body = {"aliases": {alias: {"is_write_index": True}}}
        self._create(
            templates.first_generation(alias), body, lambda: bool(look_up(self._connection, alias).generations)
        )

    def _create_ledger(self, template: dict[str, Any], *, exists: bool, complete: bool) -> None:
        name = self._config.ledger_index
        self._put(f"/_index_template/{name}", template)
        if not exists:
            self._create(name, {}, lambda: self._connection.json("GET", f"/{name}?filter_path=*.aliases") is not None)
        elif not complete:  # an older version of Prism made it: it gets the fields that are new, and keeps its rows
            self._put(f"/{name}/_mapping", {"properties": template["template"]["mappings"]["properties"]})

    def _create(self, index: str, body: dict[str, Any], is_there: Callable[[], bool]) -> None:
        """Create an index, unless another setup has done so meanwhile."""
        with for_commands():
            try:
                self._connection.json("PUT", f"/{index}", body)
            except FatalError:
                if not is_there():
                    raise

    def _put(self, path: str, body: dict[str, Any]) -> None:
        with for_commands():
            self._connection.json("PUT", path, body)

    def _template(self, name: str) -> dict[str, Any] | None:
        answer = self._connection.json("GET", f"/_index_template/{name}")
        if answer is None:
            return None
        found: dict[str, Any] = answer["index_templates"][0]["index_template"]
        return found

    # --- preflight -----------------------------------------------------------------------------------------------------

    def _checks(self) -> Iterator[Check]:
        what = f"Elasticsearch at {self._connection.name}"
        try:
            version = check_version(self._connection)
            yield Check(what, "ok", f"version {version}")
            if not self._config.verify:
                yield Check("TLS", "warning", "certificates are not verified; remove verify = false and set ca_certs")
            what = f"alias {self._config.alias}"
            yield from self._check_alias(what)
            what = f"index template {self._config.alias}"
            yield self._check_template(what)
            what = f"ledger index {self._config.ledger_index}"
            yield self._check_ledger(what)
            what = f"rights on {self._config.alias} and {self._config.ledger_index}"
            yield from self._check_rights(what)
        except RetryableError as error:
            yield Check(what, "unreachable", str(error))
        except (ConfigError, FatalError) as error:
            yield Check(what, "wrong", str(error))

    def _check_alias(self, what: str) -> Iterator[Check]:
        alias = look_up(self._connection, self._config.alias)
        problem = _alias_problem(self._config.alias, alias)
        if problem or alias.write_index is None:
            yield Check(what, "wrong", problem or f"does not exist; {_SETUP}")
            return
        index = alias.write_index.index
        yield Check(what, "ok", f"writes to {index}")
        mapping = self._connection.json("GET", f"/{index}/_mapping") or {}
        fields = mapping.get(index, {}).get("mappings", {}).get("properties", {})
        origin = fields.get("_origin", {}).get("properties", {})
        kinds = {
            self._config.time_field: (fields.get(self._config.time_field, {}).get("type"), "date"),
            "_origin.p": (origin.get("p", {}).get("type"), "integer"),
            "_origin.o": (origin.get("o", {}).get("type"), "long"),
        }
        off = [
            f"{name} is {found or 'not mapped'} instead of {wanted}"
            for name, (found, wanted) in kinds.items()
            if found != wanted
        ]
        if off:
            yield Check(
                f"mapping of {index}",
                "warning",
                f"{'; '.join(off)}: verification and statistics need them; rebuild the index with `prism replay start`",
            )
        else:
            yield Check(f"mapping of {index}", "ok", "time and origin are mapped")

    def _check_template(self, what: str) -> Check:
        found = self._template(self._config.alias)
        if problem := _foreign(self._config.alias, found):
            return Check(what, "wrong", problem)
        if found is None:
            return Check(what, "wrong", f"does not exist; {_SETUP}")
        if not templates.is_same(templates.events(self._config), found):
            return Check(
                what, "warning", f"differs from what the pipeline file asks for; {_SETUP} before the next replay"
            )
        return Check(what, "ok", "as the pipeline file asks for")

    def _check_ledger(self, what: str) -> Check:
        step = self._ledger_step()
        if step.exists:
            return Check(what, "ok", "exists")
        return Check(what, "wrong", step.problem or f"is missing or outdated; {_SETUP}")

    def _check_rights(self, what: str) -> Iterator[Check]:
        """Asks only a cluster that has credentials; one without security has no such interface."""
        if self._config.api_key is None and self._config.username is None:
            return
        wanted = [
            {"names": [self._config.alias], "privileges": ["write", "read", "view_index_metadata"]},
            {"names": [self._config.ledger_index], "privileges": ["write", "read", "view_index_metadata"]},
        ]
        answer = self._connection.request("POST", "/_security/user/_has_privileges", orjson.dumps({"index": wanted}))
        if answer.status != 200:
            yield Check(what, "warning", f"the cluster does not tell them: {self._connection.reason(answer)}")
            return
        held = answer.json().get("index", {})
        missing = [f"{right} on {name}" for name, rights in held.items() for right, has in rights.items() if not has]
        if missing:
            yield Check(what, "wrong", f"the credentials lack {', '.join(missing)}; grant them to the role")
        else:
            yield Check(what, "ok", "write, read, view_index_metadata")


def _alias_problem(name: str, alias: Alias) -> str:
    if alias.is_index:
        return index_in_the_way(name)
    if len(alias.generations) > 1:
        return (
            f"the alias {name!r} points to {len(alias.generations)} indices, {', '.join(sorted(alias.generations))}, so readers "
            f"count documents twice; remove it from all but one with POST /_aliases"
        )
    if alias.generations and alias.write_index is None:
        return f"the alias {name!r} forbids writing to {next(iter(alias.generations))}; set is_write_index for it"
    return ""


def _foreign(name: str, template: dict[str, Any] | None) -> str:
    if template is None or template.get("_meta", {}).get("made_by") == templates.MADE_BY["made_by"]:
        return ""
    return f"an index template {name!r} exists that Prism did not make; rename it, or choose another name in the pipeline file"
