"""Characteristics as tables: each field with its name, how it is read and written, and the flag that announces it.

A :class:`Kind` is one way to hold a value in bytes. A :func:`record` is a table of fields and a kind itself, so that
groups of fields nest; :class:`Packet` puts the flags before it. Decoding and encoding both follow from the table.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, IntFlag
from typing import Any, Final, Generic, NamedTuple, TypeVar

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, named
from devices.gatt.sfloat import encode_float, encode_sfloat

T = TypeVar("T")
_Named = TypeVar("_Named", bound=IntEnum)
_Other = TypeVar("_Other", bound=IntEnum)
_Flags = TypeVar("_Flags", bound=IntFlag)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a value lies in a packet.

    ``read`` takes the packet, the field's name in words and the flags, which may choose a unit or a width. ``write``
    takes the value and the flags. ``flags`` are the bits that a value itself sets, beside the one that announces it.
    """

    read: Callable[[Reader, str, int], T]
    write: Callable[[T, int], bytes]
    flags: Callable[[T], int] = lambda _: 0


@dataclass(frozen=True, slots=True)
class Field:
    """One row: an attribute (or several that share bytes), its kind, and the flag bit that announces it.

    A field with a bit may be missing; then its attribute has the default of its class. Without one it always comes.
    """

    name: str | tuple[str, ...]
    kind: Kind[Any]
    bit: int = 0


class _Row(NamedTuple):
    """A field, made ready: its attributes, its name in words, how to get what it holds, and what that is by default."""

    names: tuple[str, ...]
    what: str
    kind: Kind[Any]
    bit: int
    of: Callable[[Any], Any]
    default: Any


def record(make: Callable[..., T], *fields: Field) -> Kind[T]:
    """A table of fields, in the order of their bytes, as the dataclass ``make``, whose attributes they fill."""
    defaults = {f.name: f.default for f in dataclasses.fields(make)}  # type: ignore[arg-type]
    rows = [_row(field, defaults) for field in fields]

    def read(reader: Reader, what: str, flags: int) -> T:
        found: dict[str, Any] = {}
        for row in rows:
            if not row.bit or flags & row.bit:
                value = row.kind.read(reader, row.what, flags)
                found.update(zip(row.names, value if len(row.names) > 1 else (value,), strict=True))
        return make(**found)

    def write(value: T, flags: int) -> bytes:
        return b"".join(row.kind.write(row.of(value), flags) for row in rows if not row.bit or flags & row.bit)

    def announced(value: T) -> int:
        flags = 0
        for row in rows:
            if not row.bit or row.of(value) != row.default:
                flags |= row.bit | row.kind.flags(row.of(value))
        return flags

    return Kind(read, write, announced)


class Packet(Generic[T]):
    """A characteristic: flags, then the fields that they announce, and nothing after them."""

    def __init__(self, body: Kind[T], flags: Kind[int] | None = None) -> None:
        self._body = body
        self._flags = U8 if flags is None else flags

    def decode(self, data: bytes) -> T:
        """The value, complete. Raises :class:`DecodeError` for a packet shorter or longer than its flags promise."""
        reader = Reader(data)
        value = self._body.read(reader, "", self._flags.read(reader, "flags", 0))
        reader.end()
        return value

    def encode(self, value: T) -> bytes:
        """The packet with this value; what is the default is left out."""
        flags = self._body.flags(value)
        return self._flags.write(flags, 0) + self._body.write(value, flags)


def whole(kind: Kind[T], data: bytes, what: str) -> T:
    """A characteristic that is one value and has no flags."""
    reader = Reader(data)
    value = kind.read(reader, what, 0)
    reader.end()
    return value


def start(kind: Kind[T], data: bytes, what: str) -> T:
    """The same where a later version of the specification may have added bytes, which are ignored."""
    return kind.read(Reader(data), what, 0)


def uint(size: int) -> Kind[int]:
    """An unsigned integer of ``size`` bytes."""
    return Kind(lambda reader, what, _: reader.uint(size, what), lambda value, _: value.to_bytes(size, "little"))


def sint(size: int) -> Kind[int]:
    """A signed integer of ``size`` bytes."""
    return Kind(
        lambda reader, what, _: int.from_bytes(reader.take(size, what), "little", signed=True),
        lambda value, _: value.to_bytes(size, "little", signed=True),
    )


def bits(kind: type[_Flags], size: int) -> Kind[_Flags]:
    """Named bits in ``size`` bytes; those without a name are reserved and ignored."""
    known = functools.reduce(operator.or_, kind)
    return Kind(
        lambda reader, what, _: kind(reader.uint(size, what) & known), lambda value, _: value.to_bytes(size, "little")
    )


def one_of(kind: type[_Named]) -> Kind[_Named]:
    """A byte that is one of the values of ``kind``; others are reserved and refused."""
    return Kind(
        lambda reader, what, _: named(kind, reader.u8(what), what), lambda value, _: value.to_bytes(1, "little")
    )


def nibbles(low: type[_Named], high: type[_Other]) -> Kind[tuple[_Named, _Other]]:
    """A byte with two values, the first in its low half."""

    def read(reader: Reader, what: str, flags: int) -> tuple[_Named, _Other]:
        raw = reader.u8(what)
        return named(low, raw & 0xF, what), named(high, raw >> 4, what)

    return Kind(read, lambda value, _: bytes((value[1] << 4 | value[0],)))


def flag(bit: int, *, when: bool = True) -> Kind[bool]:
    """A flag bit that is itself a value and has no bytes; it is set when the value is ``when``."""
    return Kind(lambda reader, what, flags: bool(flags & bit) is when, lambda *_: b"", lambda v: (v is when) * bit)


def mapped(kind: Kind[Any], ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> Kind[Any]:
    """A kind whose values mean something else to us; no value stays none."""

    def read(reader: Reader, what: str, flags: int) -> Any:
        value = kind.read(reader, what, flags)
        return None if value is None else ours(value)

    return Kind(read, lambda value, flags: kind.write(None if value is None else theirs(value), flags), kind.flags)


def scaled(kind: Kind[Any], per_unit: int, unit: float = 1.0) -> Kind[Any]:
    """A number sent as an integer that counts ``1 / per_unit`` of a unit; ``unit`` is that unit in ours."""
    return mapped(kind, lambda raw: raw / per_unit * unit, lambda value: round(value / unit * per_unit))


def unless(kind: Kind[T], unknown: T) -> Kind[T | None]:
    """A kind in which one value means that there is none."""
    return Kind(
        lambda reader, what, flags: None if (raw := kind.read(reader, what, flags)) == unknown else raw,
        lambda value, flags: kind.write(unknown if value is None else value, flags),
        lambda value: kind.flags(unknown if value is None else value),
    )


def either(bit: int, clear: Kind[T], when_set: Kind[T]) -> Kind[T]:
    """A kind that a flag chooses."""
    return Kind(
        lambda reader, what, flags: (when_set if flags & bit else clear).read(reader, what, flags),
        lambda value, flags: (when_set if flags & bit else clear).write(value, flags),
    )


def required(kind: Kind[Any], says: str) -> Kind[Any]:
    """A kind that must hold a value, else the packet is refused with this sentence."""

    def read(reader: Reader, what: str, flags: int) -> Any:
        value = kind.read(reader, what, flags)
        if value is None:
            raise DecodeError("no_value", says)
        return value

    return Kind(read, kind.write, kind.flags)


def within(kind: Kind[Any], low: float, high: float, says: str) -> Kind[Any]:
    """A kind whose number must lie from ``low`` to ``high``, else the packet is something else.

    ``says`` is the sentence of refusal, with ``{:g}`` for the number.
    """

    def read(reader: Reader, what: str, flags: int) -> Any:
        value = kind.read(reader, what, flags)
        if value is not None and not low <= value <= high:
            raise DecodeError("implausible", says.format(value) + ": this is something else")
        return value

    return Kind(read, kind.write, kind.flags)


def to_the_end(kind: Kind[T], size: int) -> Kind[tuple[T, ...]]:
    """As many values of ``size`` bytes as the packet has left, at least one."""

    def read(reader: Reader, what: str, flags: int) -> tuple[T, ...]:
        count = max(1, -(-reader.left // size))
        return tuple(kind.read(reader, what, flags) for _ in range(count))

    return Kind(read, lambda values, flags: b"".join(kind.write(value, flags) for value in values))


U8: Final = uint(1)
U16: Final = uint(2)
SFLOAT: Final[Kind[float | None]] = Kind(
    lambda reader, what, _: reader.sfloat(what), lambda value, _: encode_sfloat(value).to_bytes(2, "little")
)
FLOAT: Final[Kind[float | None]] = Kind(
    lambda reader, what, _: reader.medical_float(what), lambda value, _: encode_float(value).to_bytes(4, "little")
)
TIME: Final[Kind[datetime | None]] = Kind(
    lambda reader, what, _: reader.time(what),
    lambda value, _: bytes(date_time.SIZE) if value is None else date_time.encode(value),
)
USER: Final = unless(U8, 0xFF)
"""A user's slot, or none where the instrument does not know who used it."""


def _row(field: Field, defaults: dict[str, Any]) -> _Row:
    names = (field.name,) if isinstance(field.name, str) else field.name
    default = tuple(defaults[name] for name in names)
    return _Row(
        names,
        " and ".join(names).replace("_", " "),
        field.kind,
        field.bit,
        operator.attrgetter(*names),
        default if len(names) > 1 else default[0],
    )
