"""numpy columns to and from PostgreSQL arrays, in the binary format and without a Python object per value.

The binary form of a one-dimensional array is a header of five int32 (dimensions, has-nulls, element type,
length, lower bound) followed by a length and a big-endian value per element (PostgreSQL source,
``src/backend/utils/adt/arrayfuncs.c``, ``array_recv``): a numpy record array without padding.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncCursor
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

_HEADER: Final = struct.Struct(">iiIii")
_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 in microseconds after 1970-01-01: where PostgreSQL counts time from."""


@dataclass(frozen=True, slots=True)
class _Element:
    array_oid: int
    oid: int
    wire: str
    size: int


_INT2: Final = _Element(1005, 21, ">i2", 2)
_INT4: Final = _Element(1007, 23, ">i4", 4)
_INT8: Final = _Element(1016, 20, ">i8", 8)
_FLOAT8: Final = _Element(1022, 701, ">f8", 8)
_TIMESTAMPTZ: Final = _Element(1185, 1184, ">i8", 8)


@dataclass(frozen=True, slots=True)
class _Column:
    values: NDArray[Any]


class Int2(_Column):
    """A column for ``smallint[]``."""


class Int4(_Column):
    """A column for ``int[]``."""


class Float8(_Column):
    """A column for ``double precision[]``."""


class Time(_Column):
    """A column of ``datetime64[us]`` in UTC for ``timestamptz[]``."""


_ELEMENTS: Final[dict[type[_Column], _Element]] = {Int2: _INT2, Int4: _INT4, Float8: _FLOAT8, Time: _TIMESTAMPTZ}


def _pack(element: _Element, values: NDArray[Any]) -> bytes:
    cells = np.empty(len(values), dtype=[("size", ">i4"), ("value", element.wire)])
    cells["size"] = element.size
    cells["value"] = values
    return (
        _HEADER.pack(1 if len(values) else 0, 0, element.oid, len(values), 1)[: 20 if len(values) else 12]
        + cells.tobytes()
    )


def _plain(column: _Column) -> NDArray[Any]:
    if isinstance(column, Time):
        return column.values.astype("datetime64[us]").astype(np.int64) - _EPOCH_US
    return column.values


def _dumper(element: _Element) -> type[Dumper]:
    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = element.array_oid

        def dump(self, obj: _Column) -> bytes:
            return _pack(element, _plain(obj))

    return ColumnDumper


def _loader(element: _Element) -> type[Loader]:
    class ColumnLoader(Loader):
        format = Format.BINARY

        def load(self, data: Any) -> NDArray[Any]:
            raw = bytes(data)
            cells = np.frombuffer(raw[20:], dtype=[("size", ">i4"), ("value", element.wire)])
            values = cells["value"].astype(element.wire.replace(">", "="))
            if element is _TIMESTAMPTZ:
                return (values + _EPOCH_US).astype("datetime64[us]")
            return values

    return ColumnLoader


_DUMPERS: Final = [(column, _dumper(element)) for column, element in _ELEMENTS.items()]
_LOADERS: Final = [(e.array_oid, _loader(e)) for e in (_INT2, _INT4, _INT8, _FLOAT8, _TIMESTAMPTZ)]


def use_columns(cursor: AsyncCursor[Any]) -> None:
    """Let this cursor send columns and, with ``binary=True``, receive arrays (without nulls) as numpy."""
    for column, dumper in _DUMPERS:
        cursor.adapters.register_dumper(column, dumper)
    for oid, loader in _LOADERS:
        cursor.adapters.register_loader(oid, loader)
