"""What an alias points to: the generation that is being written, by name and UUID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prism_elasticsearch.connection import Connection
from prismlib.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Generation:
    """One index behind an alias.

    Attributes:
        index: its name.
        uuid: changes when an index of the same name is created again.
    """

    index: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Alias:
    """What a name means on the server.

    Attributes:
        is_index: an index has this name, so that no alias can.
        generations: the indices behind the alias; empty when there is no such alias.
        write_index: the one that is written, or None when there is none.
    """

    is_index: bool
    generations: Mapping[str, Generation]
    write_index: Generation | None


def look_up(connection: Connection, name: str) -> Alias:
    """Ask what ``name`` means. Raises RetryableError, FatalError."""
    found = connection.json("GET", f"/{name}?filter_path=*.aliases.{name},*.settings.index.uuid") or {}
    if name in found:
        return Alias(is_index=True, generations={}, write_index=None)
    generations = {index: Generation(index, about["settings"]["index"]["uuid"]) for index, about in found.items()}
    flags = {index: about["aliases"][name].get("is_write_index") for index, about in found.items()}
    marked = [index for index, flag in flags.items() if flag is True]
    if not marked and len(flags) == 1:
        marked = [index for index, flag in flags.items() if flag is None]
    return Alias(is_index=False, generations=generations, write_index=generations[marked[0]] if marked else None)


def index_in_the_way(name: str) -> str:
    """The sentence for an index that has the alias's name."""
    return (
        f"{name!r} is an index and not an alias: something wrote to it before `prism setup`; if nothing in it is needed, "
        f'POST /_aliases {{"actions": [{{"remove_index": {{"index": "{name}"}}}}, {{"add": {{"index": "{name}-000001", '
        f'"alias": "{name}", "is_write_index": true}}}}]}} puts the alias in its place at once'
    )


def require_write_index(connection: Connection, name: str) -> Generation:
    """The generation that writes to the alias go to.

    Raises:
        ConfigError: there is no such alias, or none of its indices is the one to write; says what to do.
        RetryableError: no answer.
        FatalError: access is denied.
    """
    alias = look_up(connection, name)
    if alias.is_index:
        raise ConfigError(f"{connection.name}: {index_in_the_way(name)}")
    if not alias.generations:
        raise ConfigError(
            f"the alias {name!r} does not exist on {connection.name}; create it with `prism setup PIPELINE.toml --yes`"
        )
    if alias.write_index is None:
        raise ConfigError(
            f"the alias {name!r} on {connection.name} has no write index among {', '.join(sorted(alias.generations))}; set "
            f"is_write_index for exactly one of them"
        )
    return alias.write_index
