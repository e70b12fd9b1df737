"""What a gateway sends, from bytes to columns: decoded at once when all of it is well formed, else item by item.

Pure: no clock and no database. A good item is never lost for a bad one beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from api.problems import Problem
from devices.readings import METRICS, METRICS_BY_CODE, Kind, Quality
from store.gateways import DeviceRef, Past
from store.readings import UNKNOWN_USER

MOST_READINGS: Final = 10_000
MOST_BYTES: Final = 4 * 1024 * 1024

Time = Annotated[datetime, Meta(tz=True)]
_DetailName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,40}$")]


class WireReading(msgspec.Struct, gc=False):
    """One reading as a gateway sends it; see :class:`devices.readings.Reading`."""

    device: str
    metric: str
    value: float
    measured_at: Time
    collected_at: Time
    quality: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    user: Annotated[int, Meta(ge=0, le=255)] | None = None
    detail: dict[_DetailName, float] = {}


class WireRefused(msgspec.Struct, gc=False):
    """A packet the gateway could not read: where it came from, its bytes in hexadecimal, and why."""

    device: str
    characteristic: str
    raw: Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2})*$")]
    reason: str
    at: Time


class Batch(msgspec.Struct):
    """What a gateway hands over at once."""

    readings: Annotated[list[WireReading], Meta(max_length=MOST_READINGS)] = []
    refused: Annotated[list[WireRefused], Meta(max_length=MOST_READINGS)] = []


class _Apart(msgspec.Struct):
    readings: list[msgspec.Raw] = []
    refused: list[msgspec.Raw] = []


class Rejection(msgspec.Struct, omit_defaults=True):
    """An item that is not taken: its place in the list, a reason's code, the field and words."""

    index: int
    reason: str
    detail: str
    field: str | None = None


_whole: Final = msgspec.json.Decoder(Batch)
_apart: Final = msgspec.json.Decoder(_Apart)
_reading: Final = msgspec.json.Decoder(WireReading)
_refused: Final = msgspec.json.Decoder(WireRefused)


@dataclass(slots=True)
class Received:
    """A decoded body; ``places`` and ``refused_places`` say where in its list each item was sent."""

    readings: Sequence[WireReading]
    places: NDArray[np.int64]
    refused: Sequence[WireRefused]
    refused_places: Sequence[int]
    rejected: list[Rejection] = field(default_factory=list)
    rejected_refusals: list[Rejection] = field(default_factory=list)


def decode(body: bytes) -> Received:
    """Read a body. Raises :class:`Problem`: 400 when it is no batch at all, 413 when it holds too much."""
    try:
        whole = _whole.decode(body)
    except msgspec.ValidationError:
        return _decode_apart(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error
    return Received(whole.readings, np.arange(len(whole.readings)), whole.refused, range(len(whole.refused)))


def _decode_apart(body: bytes) -> Received:
    try:
        apart = _apart.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error
    for name, items in (("readings", apart.readings), ("refused", apart.refused)):
        if len(items) > MOST_READINGS:
            raise Problem(
                413,
                "too_many",
                f"a batch holds at most {MOST_READINGS} {name}; this one holds {len(items)}",
                field=name,
            )
    readings, places, rejected = _each(_reading, apart.readings)
    refused, refused_places, rejected_refusals = _each(_refused, apart.refused)
    return Received(readings, np.array(places, np.int64), refused, refused_places, rejected, rejected_refusals)


def _each(
    decoder: msgspec.json.Decoder[Any], items: Sequence[msgspec.Raw]
) -> tuple[list[Any], list[int], list[Rejection]]:
    good: list[Any] = []
    places: list[int] = []
    rejected: list[Rejection] = []
    for place, item in enumerate(items):
        try:
            good.append(decoder.decode(item))
            places.append(place)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            words, where = _words(error)
            rejected.append(Rejection(place, "malformed", words, where))
    return good, places, rejected


def malformed(body: bytes, error: Exception) -> Problem:
    """The 400 that says what is wrong with a body, and at which byte or field."""
    words, where = _words(error)
    if isinstance(error, msgspec.ValidationError):
        return Problem(400, "malformed", words, field=where)
    if isinstance(error, RecursionError):
        return Problem(400, "malformed", "the JSON is nested too deeply")
    position = _position(body, error)
    return Problem(400, "malformed", f"this is not JSON: {words} at byte {position}", position=position)


def _words(error: Exception) -> tuple[str, str | None]:
    text, _, path = str(error).partition(" - at ")
    text = re.sub(r"^JSON is malformed: | \(byte \d+\)$", "", text)
    named = re.search(r"\$\.?([^`]+)", path) or re.search(r"required field `([^`]+)`", text)
    return text, named[1] if named else None


def _position(body: bytes, error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        try:
            body.decode()
        except UnicodeDecodeError as whole:
            return whole.start
    found = re.search(r"\(byte (\d+)\)$", str(error))
    return int(found[1]) if found else len(body)


@dataclass(slots=True)
class Columns:
    """Readings of known devices and metrics as columns of shape ``(n,)``; times are ``datetime64[us]`` in UTC."""

    place: NDArray[np.int64]
    resident_id: NDArray[np.int32]
    device_id: NDArray[np.int32]
    metric: NDArray[np.int16]
    value: NDArray[np.float64]
    measured_at: NDArray[np.datetime64]
    collected_at: NDArray[np.datetime64]
    quality: NDArray[np.int32]
    user_slot: NDArray[np.int16]
    is_nobodys: NDArray[np.bool_]
    """Taken by a user of a shared instrument whom nobody has named: it must not stand under anybody's name."""

    def __len__(self) -> int:
        return len(self.value)

    def with_more(self, more: Columns) -> Columns:
        """These rows and then those of ``more``."""
        return Columns(*(np.concatenate([getattr(self, n), getattr(more, n)]) for n in self.__slots__))

    def where(self, rows: NDArray[Any]) -> Columns:
        """Only these rows: a mask or row numbers."""
        return Columns(*(getattr(self, name)[rows] for name in self.__slots__))


class Devices:
    """The devices a gateway may speak for, ready to be looked up by the thousand."""

    def __init__(self, by_address: Mapping[str, DeviceRef]) -> None:
        self.by_address = by_address
        self.slots = {address: slot for slot, address in enumerate(by_address)}
        # The last place is that of a stranger, whose slot is -1.
        refs = [*by_address.values(), DeviceRef(0, 0, "", None)]
        self.device_id = np.array([d.id for d in refs], np.int32)
        self._is_here = np.array([d.is_here for d in refs], np.bool_)
        self._now = _Whose([d.resident_id for d in refs], [d.users for d in refs])
        depth = max(len(d.past) for d in refs)
        self._before = [_Before([d.past[n] if n < len(d.past) else None for d in refs]) for n in range(depth)]

    def file(self, columns: Columns, slot: NDArray[np.int32]) -> NDArray[np.bool_]:
        """File each row under whose it was when it was measured, in place; the answer is which rows are of devices that
        were not this gateway's by then. ``slot`` is each row's device.

        What nobody could date counts as of its arrival, as :func:`api.plausibility.judge_clocks` will say: a call for
        help from a gateway that does not know the time must not go to the flat where the button hung before.
        """
        self._now.file(columns, slot, np.arange(len(slot)))
        gone = ~self._is_here[slot]
        if self._before:
            doubted = (columns.quality & int(Quality.CLOCK_SUSPECT) != 0) | (columns.measured_at < FIRST_DEVICES)
            at = np.where(doubted, columns.collected_at, columns.measured_at)
            at[at < FIRST_DEVICES] = np.datetime64("NaT")
            for before in self._before:  # the newest first, so that the oldest that holds has the last word
                gone &= ~before.file(columns, slot, at)
            # A call for help that nobody could date is heard, though its button is another gateway's by now.
            gone &= ~(np.isnat(at) & _IS_EVENT[columns.metric])
        return gone


_EVERYBODY, _NOBODY = -1, 0
"""Whose a user slot is: of whoever the device belongs to, or of nobody that is known. Residents count from 1."""


class _Whose:
    """Whose the devices are, and whose each user slot of an instrument that several people use."""

    def __init__(self, residents: Sequence[int], users: Sequence[Mapping[int, int]]) -> None:
        self._resident = np.array(residents, np.int32)
        self._by_user = _by_user(users) if any(users) else None

    def file(self, columns: Columns, slot: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
        """File these rows."""
        columns.resident_id[rows] = self._resident[slot[rows]]
        columns.is_nobodys[rows] = False
        if self._by_user is None:
            return
        whose = self._by_user[slot[rows], columns.user_slot[rows]]
        whose[_IS_DEVICE[columns.metric[rows]]] = _EVERYBODY
        # A call for help that nobody has the right to hear would reach nobody: it is the device's resident's.
        whose[(whose == _NOBODY) & _IS_EVENT[columns.metric[rows]]] = _EVERYBODY
        named = whose > _NOBODY
        columns.resident_id[rows[named]] = whose[named]
        columns.is_nobodys[rows] = whose == _NOBODY


class _Before:
    """Whose the devices were until they changed hands; ``None`` for those that had not."""

    def __init__(self, past: Sequence[Past | None]) -> None:
        never = np.datetime64("NaT")
        self._until = np.array([never if p is None else _moment(p.until) for p in past], "datetime64[us]")
        self._whose = _Whose(
            [0 if p is None else p.resident_id for p in past], [{} if p is None else p.users for p in past]
        )

    def file(self, columns: Columns, slot: NDArray[np.int32], at: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """File what was measured then; the answer is which rows that were. ``at`` is NaT where nobody knows."""
        then: NDArray[np.bool_] = at < self._until[slot]
        self._whose.file(columns, slot, np.flatnonzero(then))
        return then


def _by_user(users: Sequence[Mapping[int, int]]) -> NDArray[np.int32]:
    """For each device and user slot the resident's number, or one of the two words above."""
    table = np.full((len(users), 256), _EVERYBODY, np.int32)
    for place, slots in enumerate(users):
        if slots:
            table[place] = _NOBODY
            for slot, resident in slots.items():
                table[place, slot] = resident
    return table


def _moment(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


FIRST_DEVICES: Final = np.datetime64("2020-01-01", "us")
"""No device of ours was made before; a clock that lost its battery begins in 1970 or 2000."""
_METRIC_CODES: Final = {name: m.code for name, m in METRICS.items()}


def _is_of(kind: Kind) -> NDArray[np.bool_]:
    """Whether a metric is of this kind, by its code. The last place is that of an unknown metric, -1."""
    codes = range(max(METRICS_BY_CODE) + 2)
    return np.array([code in METRICS_BY_CODE and METRICS_BY_CODE[code].kind is kind for code in codes])


_IS_DEVICE: Final = _is_of(Kind.DEVICE)
"""What a device says of itself is nobody's measurement."""
_IS_EVENT: Final = _is_of(Kind.EVENT)
_EARLIEST: Final = np.datetime64("1900-01-01", "us")
_LATEST: Final = np.datetime64("9998-01-01", "us")
"""Beyond these a moment cannot be told in every place that must show it."""


def columns(received: Received, devices: Devices) -> tuple[Columns, list[Rejection]]:
    """The readings as columns, and those that name a device or metric nobody knows, or an impossible date."""
    readings = received.readings
    slot = np.array([devices.slots.get(r.device, -1) for r in readings], np.int32)
    metric = np.array([_METRIC_CODES.get(r.metric, -1) for r in readings], np.int16)
    all_of_them = Columns(
        received.places,
        np.zeros(len(readings), np.int32),
        devices.device_id[slot],
        metric,
        np.array([r.value for r in readings], np.float64),
        _times([r.measured_at.timestamp() for r in readings]),
        _times([r.collected_at.timestamp() for r in readings]),
        np.array([r.quality for r in readings], np.int32),
        np.array([UNKNOWN_USER if r.user is None else r.user for r in readings], np.int16),
        np.zeros(len(readings), np.bool_),
    )
    gone = devices.file(all_of_them, slot)
    wrong = {
        "device": (slot < 0) | gone,
        "metric": metric < 0,
        "measured_at": _out_of_range(all_of_them.measured_at),
        "collected_at": _out_of_range(all_of_them.collected_at),
    }
    bad = np.logical_or.reduce(list(wrong.values()))
    if not bad.any():
        return all_of_them, []
    rejected = [_rejection(received, row, wrong) for row in np.flatnonzero(bad).tolist()]
    return all_of_them.where(~bad), rejected


def _times(seconds: Sequence[float]) -> NDArray[np.datetime64]:
    # A double holds seconds since 1970 to a quarter of a microsecond until the year 2242, so rounding is exact.
    return np.rint(np.array(seconds, np.float64) * 1e6).astype(np.int64).view("datetime64[us]")


def _out_of_range(moments: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    return (moments < _EARLIEST) | (moments >= _LATEST)


def _rejection(received: Received, row: int, wrong: Mapping[str, NDArray[np.bool_]]) -> Rejection:
    place, reading = int(received.places[row]), received.readings[row]
    if wrong["device"][row]:
        words = f"the device {reading.device[:40]!r} is not one of this gateway's"
        return Rejection(place, "unknown_device", words, "device")
    if wrong["metric"][row]:
        return Rejection(place, "unknown_metric", f"there is no metric {reading.metric[:40]!r}", "metric")
    name = "measured_at" if wrong["measured_at"][row] else "collected_at"
    return Rejection(place, "malformed", "this date lies outside the years 1900 to 9997", name)
