"""How a device usually speaks, and how long its silence is by its own measure. Pure: columns in, columns out.

Time is cut into thirds of an hour (*slots*); of the last 28 days one bit each says whether a device spoke. How many
times it speaks, on the mean, in each slot of the day is its *pace*; summed over a silence that is how many times it
would have spoken meanwhile. A silence overnight weighs little for a cuff that is used in the morning, and an hour
weighs much for what streams.

One session counts once: of a device that measures now and then only the first slot after three calm hours. The
silence is divided by the device's own longest pauses (the ninth decile of the same sum over each of its pauses, at
least 1), so that who measures twice a week, or at no fixed time, is given that time. 1 is as long as it has been
silent before; a day's habit missed for the second time is about 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

SLOT_US: Final = 20 * 60 * 1_000_000
A_DAY: Final = 72
_DAYS: Final = 28
SLOTS: Final = _DAYS * A_DAY
BYTES: Final = SLOTS // 8

_STREAMS: Final = 0.25
"""The share of slots from which on a device streams: six hours a day. House default."""
_CALM: Final = 9
"""Slots without a word, after which the next word begins a new session: three hours. House default."""
_DECILE: Final = 0.9
_KNOWN_DAYS: Final = 7
_KNOWN_SESSIONS: Final = 5
_STREAM_KNOWN_DAYS: Final = 2
UNKNOWN_DAYS: Final = 5.0
"""A device whose rhythm is not known yet is given pauses of so many days. House default: longer than what the home
protocol 722 leaves between two days of measuring (4 of 7 days; PMC7677637, table 1)."""


def slot(us: Int64s) -> Int64s:
    """The slot of a moment, in microseconds since 1970."""
    return us // SLOT_US


def speak(spoke: Bits, newest: int, at: Int64s) -> int:
    """Note in one device's bits (shape ``(BYTES,)``, in place) that it spoke at these moments; returns the newest of all.

    What is older than 28 days before that is passed over.
    """
    latest = max(newest, int(at.max()))
    last, now = newest // SLOT_US, latest // SLOT_US
    bits = np.unpackbits(spoke)
    bits[np.arange(max(last + 1, now - SLOTS + 1), now + 1) % SLOTS] = 0
    slots = slot(at)
    bits[slots[slots > now - SLOTS] % SLOTS] = 1
    spoke[:] = np.packbits(bits)
    return latest


@dataclass(frozen=True, slots=True)
class Pace:
    """The rhythm of ``n`` devices: ``slots`` of shape ``(n, A_DAY)``, how often each speaks in each slot of the day
    (UTC), and ``pause``, shape ``(n,)``, how much of that its longest usual pauses come to. ``known`` is false where
    too little has been heard to say so, and pauses of :data:`UNKNOWN_DAYS` are assumed."""

    slots: Floats
    pause: Floats
    known: Bools


def learn(spoke: Bits, newest: Int64s) -> Pace:
    """The pace of devices from their bits, shape ``(n, BYTES)``, and when each spoke last (``(n,)``, microseconds)."""
    marks, days, known = _marks(spoke, newest)
    turned = marks.reshape(-1, _DAYS, A_DAY).sum(1) / days[:, None]
    pause = _pauses(marks, turned)
    first = (slot(newest) + 1) % A_DAY
    slots = np.take_along_axis(turned, (np.arange(A_DAY) - first[:, None]) % A_DAY, 1)
    slots[~known], pause[~known] = 1 / (UNKNOWN_DAYS * A_DAY), 1.0
    return Pace(slots, pause, known)


def unknown(n: int) -> Pace:
    """The pace of ``n`` devices of which nothing is known yet."""
    return Pace(np.full((n, A_DAY), 1 / (UNKNOWN_DAYS * A_DAY)), np.ones(n), np.zeros(n, np.bool_))


def silence(pace: Pace, since: Int64s, now: int) -> Floats:
    """How long each has been silent since these moments (microseconds), in its own longest usual pauses.

    The slot in which it spoke is over with its words.
    """
    begin, end = slot(since) + 1, now // SLOT_US
    before = np.concatenate([np.zeros((len(since), 1)), np.cumsum(pace.slots, 1)], 1)
    part = pace.slots[:, end % A_DAY] * (now % SLOT_US / SLOT_US)
    day = before[:, -1]
    whole = (end // A_DAY - begin // A_DAY) * day + before[:, end % A_DAY]
    whole -= np.take_along_axis(before, (begin % A_DAY)[:, None], 1)[:, 0]
    missed: Floats = np.where(end >= begin, whole + part, 0.0)
    return missed / pace.pause


def _marks(spoke: Bits, newest: Int64s) -> tuple[Bools, Floats, Bools]:
    """When each spoke, oldest slot first and the newest last; over how many days; and whether that says anything."""
    order = (slot(newest)[:, None] + 1 + np.arange(SLOTS)) % SLOTS
    spoken = np.take_along_axis(np.unpackbits(spoke, axis=1), order, 1).astype(np.bool_)
    span = SLOTS - spoken.argmax(1)
    streams = spoken.sum(1) >= _STREAMS * span
    marks = np.where(streams[:, None], spoken, spoken & ~_just_before(spoken))
    enough = (span >= _KNOWN_DAYS * A_DAY) & (marks.sum(1) >= _KNOWN_SESSIONS)
    return marks, np.maximum(span / A_DAY, 1.0), enough | (streams & (span >= _STREAM_KNOWN_DAYS * A_DAY))


def _just_before(spoken: Bools) -> Bools:
    """Whether it spoke in one of the slots just before."""
    near = np.zeros_like(spoken)
    for back in range(1, _CALM + 1):
        near[:, back:] |= spoken[:, :-back]
    return near


def _pauses(marks: Bools, turned: Floats) -> Floats:
    """The ninth decile of what each one's pauses come to, at least 1."""
    run = np.cumsum(np.tile(turned, _DAYS), 1)
    row, column = np.nonzero(marks)
    come_to = np.diff(run[row, column])[row[1:] == row[:-1]]
    row = row[1:][row[1:] == row[:-1]]
    order = np.lexsort((come_to, row))
    begin = np.searchsorted(row, np.arange(len(marks)))
    count = np.searchsorted(row, np.arange(len(marks)), "right") - begin
    found = np.ones(len(marks))
    some = count > 0
    found[some] = come_to[order][begin[some] + (_DECILE * (count[some] - 1)).astype(np.intp)]
    return np.maximum(found, 1.0)
