"""Tables of the small files of the contract side, with errors that name file and key.

Only the standard library, because ``prism-check-schema`` starts with this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

from prismlib.errors import ConfigError


def read_table(path: Path, hint: str) -> Table:
    """The whole file as one table.

    Args:
        path: of a TOML file.
        hint: what to do when there is no such file.

    Raises:
        ConfigError: it is missing, not readable or not TOML.
    """
    import tomllib  # noqa: PLC0415  # only those who read a folder pay for its start-up

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return Table(path, "", tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


class Table:
    """One table of a file, whose errors name file and key."""

    def __init__(self, path: Path, key: str, data: Mapping[str, Any]) -> None:
        self._path = path
        self._key = key
        self._data = data

    def wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._path}: {self._key}: {what}")

    def only(self, *known: str) -> None:
        for key in self._data:
            if key not in known:
                import difflib  # noqa: PLC0415  # only a mistake pays for it

                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                raise ConfigError(f"{self._path}: unknown key {self._at(key)!r}; {hint}")

    def items(self) -> list[tuple[str, Table]]:
        return [(key, self._sub(key, value)) for key, value in self._data.items()]

    def table(self, key: str) -> Table:
        return self._sub(key, self._data.get(key, {}))

    def tables(self, key: str) -> list[Table]:
        value = self._data.get(key, [])
        if not isinstance(value, list):
            raise self._must(key, f"a list of tables, each under [[{self._at(key)}]]")
        return [self._sub(f"{key}[{position}]", one) for position, one in enumerate(value)]

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self._must(key, "a string that is not empty" if default is None else "a string")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key, None)
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
            raise self._must(key, "a list of strings that is not empty")
        return tuple(value)

    def one_of(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self._get(key, default)
        if value not in choices:
            raise self._must(key, f"one of {', '.join(choices)}")
        return cast("str", value)

    def positive(self, key: str) -> int:
        value = self._get(key, None)
        if type(value) is not int or value < 1:
            raise self._must(key, "a whole number from 1")
        return value

    def day(self, key: str) -> date:
        value = self._get(key, None)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self._must(key, "a day without quotes, such as 2026-12-31")
        return value

    def _get(self, key: str, default: str | None) -> Any:
        value = self._data.get(key, default)
        if value is None:
            raise ConfigError(f"{self._path}: the key {self._at(key)!r} is missing")
        return value

    def _sub(self, key: str, value: Any) -> Table:
        if not isinstance(value, dict):
            raise self._must(key, "a table")
        return Table(self._path, self._at(key), value)

    def _must(self, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self._path}: {self._at(key)!r} must be {what}")

    def _at(self, key: str) -> str:
        return f"{self._key}.{key}" if self._key else key
