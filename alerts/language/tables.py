"""Strict reading of TOML: every entry is taken by a word that is known, and an error knows its line. Pure."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final, TypeVar

_TIME: Final = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")
_SECONDS: Final = MappingProxyType({"s": 1, "min": 60, "h": 3600, "d": 86_400})

_LARGEST: Final = 1e30
"""Beyond it a number leaves the range of 32-bit floats, in which values and levels are compared."""

T = TypeVar("T")


class ProtocolError(Exception):
    """A protocol that cannot be used, with the file and line at fault and what to do about it."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}, line {line}: {message}")
        self.file = file
        self.line = line
        self.message = message


class Table:
    """One table of a TOML file: hands out its entries, knows their lines, and refuses what is left over."""

    def __init__(self, content: Mapping[str, Any], file: str, lines: _Lines, path: tuple[str | int, ...]) -> None:
        self._left = dict(content)
        self._known: list[str] = []
        self._file = file
        self._lines = lines
        self._path = path

    @classmethod
    def of(cls, text: str, file: str) -> Table:
        """The whole file."""
        try:
            return cls(tomllib.loads(text), file, _Lines(text), ())
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"line (\d+)", str(error))
            raise ProtocolError(file, int(found[1]) if found else 1, f"this is not TOML: {error}") from error

    def at(self, *path: str | int) -> Table:
        """Another place, only to report from."""
        return Table({}, self._file, self._lines, (*self._path, *path))

    def error(self, key: str | None, message: str) -> ProtocolError:
        """A refusal that points at ``key``, or at the table."""
        path = self._path if key is None else (*self._path, key)
        return ProtocolError(self._file, self._lines.of(path), message)

    def absent(self, keys: Iterable[str], message: str) -> ProtocolError:
        """A refusal because none of ``keys`` is here; a word left over that looks like one of them is pointed at."""
        for key in keys:
            if near := difflib.get_close_matches(key, self._left, 1, 0.8):
                return self.error(near[0], f"{message}; is {near[0]} meant to be {key}?")
        return self.error(None, message)

    def has(self, key: str) -> bool:
        """Whether the table has this word."""
        self._known.append(key)
        return key in self._left

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of ``key``, which must be of ``kind``; required unless there is a default."""
        self._known.append(key)
        if key not in self._left:
            if default is not None:
                return default
            raise self.absent([key], f"{key} is missing here")
        found = self._left.pop(key)
        if type(found) is not kind:
            raise self.error(key, f"{key} should be {_KINDS[kind]}, not {found!r}")
        return found

    def number(self, key: str) -> float:
        """A whole or decimal number."""
        whole = type(self._left.get(key)) is int
        return self.as_number(key, self.take(key, int) if whole else self.take(key, float))

    def as_number(self, key: str, found: object) -> float:
        """A whole or decimal number that stands somewhere under ``key``."""
        if type(found) is not int and type(found) is not float:
            raise self.error(key, f"{found!r} should be a number")
        if abs(found) > _LARGEST and found != float("inf"):
            raise self.error(key, f"{key} is far beyond anything that can be measured")
        return float(found)

    def one_or_more(self, key: str) -> list[Any]:
        """A list, or the one text that stands for a list of itself."""
        return [self.take(key, str)] if self.is_text(key) else self.take(key, list)

    def is_text(self, key: str) -> bool:
        """Whether ``key`` holds text, where it may also hold something else."""
        return type(self._left.get(key)) is str

    def positive(self, key: str) -> int:
        """A whole number from 1."""
        found = self.take(key, int)
        if found < 1:
            raise self.error(key, f"{key} counts from 1")
        return found

    def choice(self, key: str, words: tuple[T, ...]) -> T:
        """One of ``words``."""
        found = self.take(key, str)
        for word in words:
            if word == found:
                return word
        raise self.error(key, f"{key} is one of {', '.join(map(str, words))}, not {found!r}")

    def time(self, key: str, default: timedelta | None = None) -> timedelta:
        """A length of time such as ``30 min``, longer than nothing and no longer than a year."""
        if default is not None and not self.has(key):
            return default
        text = self.take(key, str)
        found = _TIME.fullmatch(text)
        if not found:
            raise self.error(key, f"{text!r} is no length of time: write 30 s, 30 min, 2 h or 3 d")
        seconds = float(found[1]) * _SECONDS[found[2]]
        if not 1 <= seconds <= 366 * _SECONDS["d"]:
            raise self.error(key, f"{text} is impossible: a length of time is from one second to a year")
        return timedelta(seconds=seconds)

    def source(self) -> str:
        """Where the numbers beside it come from; no number goes without."""
        if not self.has("source"):
            raise self.absent(["source"], "source is missing here: say where the number comes from")
        found = self.take("source", str).strip()
        if not found:
            raise self.error("source", "source is empty: say where the number comes from")
        return found

    def table(self, key: str) -> Table:
        """The table under ``key``."""
        return Table(self.take(key, dict), self._file, self._lines, (*self._path, key))

    def tables(self, key: str, *, required: bool = True) -> Iterator[Table]:
        """The tables of the list under ``key``."""
        found = self.take(key, list, None if required else [])
        for i, content in enumerate(found):
            if not isinstance(content, dict):
                raise self.error(key, f"{key} is a list of tables: write [[{key}]]")
            yield Table(content, self._file, self._lines, (*self._path, key, i))

    def end(self) -> None:
        """Refuse what nobody took."""
        for key in self._left:
            raise self.error(key, f"the rule language has no word {key!r} here{did_you_mean(key, self._known)}")


_KINDS: Final[Mapping[type, str]] = MappingProxyType(
    {
        str: "text in quotes",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "a table",
        list: "a list",
        date: "a date such as 2026-11-01",
    }
)


class _Lines:
    """The line on which each entry of a TOML file stands; ``tomllib`` does not say."""

    _HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\s]+?)\s*\]")
    _KEY = re.compile(r"\s*([\w.\-]+)\s*=")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str | int, ...], int] = {(): 1}
        self._counts: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := self._HEADER.match(line):
                table = self._open(header[2], is_list=header[1] == "[[")
                self._note(table, number)
            elif key := self._KEY.match(line):
                self._note((*table, *key[1].split(".")), number)

    def of(self, path: tuple[str | int, ...]) -> int:
        """The line of ``path``, or of the nearest table around it."""
        while path not in self._found:
            path = path[:-1]
        return self._found[path]

    def _open(self, name: str, *, is_list: bool) -> tuple[str | int, ...]:
        path: tuple[str | int, ...] = ()
        *outer, last = (part.strip() for part in name.split("."))
        for part in outer:
            path = (*path, part)
            if path in self._counts:
                path = (*path, self._counts[path])
        path = (*path, last)
        if not is_list:
            return path
        self._counts[path] = self._counts.get(path, -1) + 1
        return (*path, self._counts[path])

    def _note(self, path: tuple[str | int, ...], number: int) -> None:
        for end in range(len(path), 0, -1):
            self._found.setdefault(path[:end], number)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest one known, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(names)}"
