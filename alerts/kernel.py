"""The rules core's one loop: each measurement of one resident meets each rule that hears it. Pure, numbers only.

Plain Python over numpy columns, of which numba makes machine code; ``NUMBA_DISABLE_JIT=1`` runs the same lines as they
stand, and the tests hold both to ``tests/alerts/reference``. What each word means is in ``docs/rules.md``; here stand the
columns it is done in. Times are microseconds since 1970 in UTC (int64), values 32-bit floats in the metric's unit.

One file on purpose: the machine code that numba keeps on disk is thrown away when the file of the function changes that
was compiled, not when one changes that it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Shorts = NDArray[np.uint16]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Statistic = tuple[float, float, float]
Function = TypeVar("Function", bound=Callable[..., Any])

NEVER: Final = 1 << 61
"""Later than any time; a quarter of the range, so that sums do not wrap."""
LONG_AGO: Final = -(1 << 61)
"""Earlier than any time."""
NO_DAY: Final = -(1 << 31)
"""Earlier than any local day."""
FORGOTTEN: Final = (1 << 48) - 1
"""So long before the newest measurement of a metric, 8.9 years, none is remembered; in ``State.older``: there is none."""
BLOCK: Final = 1024
"""Residents who share one entry of ``State.block_due``."""

CALM, ASKING, ACTIVE = range(3)
LEVEL, EVENT, DEVICE, SILENCE, SILENCE_AFTER, STATISTIC, NOTHING = range(7)
"""What a rule judges: vital signs, an event, a device, silence, silence after an event, statistics; nothing by itself."""
AVERAGE, DEVIATION, VARIATION, TREND, RISE, DROP, FROM_USUAL, SCORE, WORST_PART = range(9)
RAISE, CLEAR, ASK, ANSWERED, CONFIRMED, NOTE = range(6)

(
    C_DEPTH,
    C_TIME_AT,
    C_OLDER_AT,
    C_VALUE_AT,
    C_DEVICE_AT,
    C_DAYS,
    C_DAY_AT,
    C_DAY_VALUE_AT,
    C_DAY_COUNT_AT,
    C_USUAL_AT,
    C_USUAL_COUNT_AT,
) = range(11)
"""Of ``Tables.columns``: how many values are remembered; where the newest one's time, how much older the others are, and the
values; where the device, the days and the usual values."""
(
    R_KIND,
    R_HEARS,
    R_TAKEN_BACK_BY,
    R_CONFIRMED_BY,
    R_SILENT_WITHOUT,
    R_JUDGED_BY,
    R_PHYSIOLOGICAL,
    R_EXPIRES,
    R_K,
    R_N,
    R_WITHIN,
    R_ASK,
    R_PERSISTS,
    R_CLEAR_AFTER,
    R_ON_DAYS,
    R_DAYS_WITHIN,
    R_SILENCE,
    R_SILENCE_AT,
    R_SILENT_COLUMN,
    R_BEGAN_COLUMN,
    R_BEGAN_WITHIN,
    R_CONFIRM_COLUMN,
    R_WHEN,
    R_WHEN_END,
    R_MEASURED,
    R_MEASURED_END,
    R_REQUIRED,
    R_REQUIRED_END,
    R_UNLESS,
    R_UNLESS_END,
    R_UNLESS_SINCE,
    R_UNLESS_SINCE_END,
) = range(32)
"""Of ``Tables.rules``: metrics heard as masks (bit: column), lengths of time in microseconds (0: none), and where the
rule's part of ``limits``, ``required`` or ``lists`` begins and ends."""
L_COLUMN, L_SIGN, L_STATISTIC, L_DAYS, L_WITHIN, L_NEEDS, L_DROPS_FIRST, L_SCORE = range(8)
Q_COLUMN, Q_SIGN, Q_WITHIN = range(3)
P_COLUMN, P_BAND, P_CONCERNS = range(3)
S_PART, S_PART_END, S_FRESH, S_NEEDS = range(4)
OVER, CLEAR_AT = range(2)
ZONE, ZONE_END, EXTRA = range(3)
NEXT_DUE, TIMES = range(2)
"""The first column of ``State.times``: no later than her next timer."""
HEAD, PROFILE, NUMBERS = range(3)
"""The first columns of ``State.numbers``: her first record in the pool or -1; her profile."""
GAP: Final = 3
"""Columns of ``State.older`` for one measurement."""
CONFIRMATION: Final = -1
"""The last column of ``Told.told_values``."""

ROW, RULE, NEXT, PHASE, BY_DEVICE = range(5)
"""The columns of ``Pool.links``."""
DUE, FIRST_AT, LAST_AT, RUN = range(4)
"""The columns of ``Pool.stands``, ``LONG_AGO`` where there is none. What is never needed at once shares a place: a question
has ``DUE`` and ``FIRST_AT``, an alarm ``RAISED_AT`` and ``CALM_SINCE`` or, of a device, ``HEARD_AT``; one rule persists, another
counts days, and only of others notes are kept. Bit ``i`` of ``MASK`` is the local day ``BASE_DAY - i``."""
CALM_SINCE = HEARD_AT = DUE
RAISED_AT: Final = FIRST_AT
MASK = NOTED_AT = RUN
BASE_DAY: Final = BY_DEVICE
LINKS, STANDS = 5, 4
FREE, USED = range(2)
"""Of ``Pool.pool``: the first free record (-1: none beyond those never used), and how many were ever used."""

IS_NEWEST, IS_OVER, IS_KNOWN, IS_BEHIND = 1, 2, 4, 8
"""What ``Told.verdicts`` says of a rule on statistics: it is judged by this measurement; one limit is over; all are known;
those known are behind their clear levels."""
VERDICT, AS_OF = range(2)
"""The columns of ``Told.verdicts``."""
F_ROW, F_RULE, F_WHAT, F_AT, F_UNTIL, F_COUNT, F_DEVICE = range(7)
"""The columns of ``Told.told``; ``F_COUNT`` is -1 where the firing has none."""
OUT_INTS: Final = 7

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
_PART_US: Final = 6 * HOUR_US
_FROZEN_US: Final = 14 * DAY_US
"""How long an alarm keeps the usual values from learning: after a fortnight it is how she is. House default."""
_REMEMBERED: Final = 28
"""Readings after which what is usual forgets the first ones: about a fortnight, measured twice a day. House default."""
_CLIPS_FROM: Final = 8
_CLIPS_AT: Final = 3.0
"""A single value moves what is usual by no more than three spreads (Huber), once eight are known. House default."""
_SPREAD: Final = 1.2533
"""Standard deviation of a normal distribution by its mean absolute deviation: the root of pi / 2."""
_MOST_COUNTED: Final = 255
_MASK_DAYS: Final = 62
_MASK: Final = (1 << _MASK_DAYS) - 1


class Tables(NamedTuple):
    """A protocol as columns: ``columns (C, 11)`` by metric heard, ``rules (R, 32)`` (``hears`` again beside), ``limits (., 8)``, ``required (., 3)``,
    the ``parts (., 3)`` of ``scores (., 4)`` and their bands, ``lists`` of columns; -1 stands for none. ``floor (C,)`` is
    the least spread by which a surprise is measured. ``derived`` are the columns of pulse, irregular pulse, systolic,
    diastolic and pulse pressure.

    Few and wide on purpose: every one is handed from function to function, and numba compiles in a tenth of the time.
    """

    columns: Int64s
    floor: Floats
    rules: Int64s
    hears: Int64s
    limits: Int64s
    required: Int64s
    required_level: Floats
    lists: Int64s
    scores: Int64s
    parts: Int64s
    band_edge: Floats
    band_points: Int64s
    derived: Int64s


class Profiles(NamedTuple):
    """What differs between residents: signed ``levels (P, limits, 2)``; which rules, then which parts of scores, concern
    them; in ``of`` their stretch of ``zones`` (from when on in UTC, how far from it) and the points they always have."""

    levels: Floats
    concerns: Bools
    of: Int64s
    zones: Int64s


class State(NamedTuple):
    """One row per resident: ``times``, ``numbers``, ``older``, ``values`` and ``counts`` as ``Tables.columns`` lays them out, and
    whether it has changed (``dirty``). ``older`` is by how much a measurement is older than the newest one of its
    metric, in 48 bits, the low ones first. ``block_due`` is the least of ``NEXT_DUE`` over a block of rows, or less."""

    times: Int64s
    numbers: Int32s
    older: Shorts
    values: Floats
    counts: NDArray[np.uint8]
    block_due: Int64s
    dirty: Bools


class Pool(NamedTuple):
    """What stands: one record per resident and rule that is not simply calm, in ``stands (., 4)`` and ``links (., 5)``, one
    leading to the next; the values ``kept (., K)`` of its measurement; and in ``pool`` the first free record and how
    many were ever used."""

    links: Int32s
    stands: Int64s
    kept: Floats
    pool: Int64s


class Told(NamedTuple):
    """Firings: ``told (F, 7)`` and ``told_values (F, 2 K + 1)``, of the measurement, of the first one that was over, and of
    the confirmation (NaN: none); ``told_count[0]`` are filled. ``scratch (C,)`` holds the measurement being judged, ``verdicts (R, 2)`` what
    the rules on statistics say of it."""

    told: Int64s
    told_values: Floats
    told_count: Int64s
    scratch: Floats
    verdicts: Int64s


class Remembered(NamedTuple):
    """The part of :class:`Core` that what is made of many readings needs: a call with less costs less."""

    columns: Int64s
    limits: Int64s
    scores: Int64s
    parts: Int64s
    band_edge: Floats
    band_points: Int64s
    concerns: Bools
    of: Int64s
    zones: Int64s
    times: Int64s
    numbers: Int32s
    older: Shorts
    values: Floats
    counts: NDArray[np.uint8]
    floor: Floats


class Core(NamedTuple):
    """All of :class:`Tables`, :class:`Profiles`, :class:`State`, :class:`Pool` and :class:`Told`, in this order."""

    columns: Int64s
    floor: Floats
    rules: Int64s
    hears: Int64s
    limits: Int64s
    required: Int64s
    required_level: Floats
    lists: Int64s
    scores: Int64s
    parts: Int64s
    band_edge: Floats
    band_points: Int64s
    derived: Int64s
    levels: Floats
    concerns: Bools
    of: Int64s
    zones: Int64s
    times: Int64s
    numbers: Int32s
    older: Shorts
    values: Floats
    counts: NDArray[np.uint8]
    block_due: Int64s
    dirty: Bools
    links: Int32s
    stands: Int64s
    kept: Floats
    pool: Int64s
    told: Int64s
    told_values: Floats
    told_count: Int64s
    scratch: Floats
    verdicts: Int64s


class Readings(NamedTuple):
    """A batch: row of the resident, column of the metric, and the rest as in ``Batch``."""

    row: Int64s
    column: Int64s
    at: Int64s
    received: Int64s
    device: Int64s
    value: Floats
    irregular: Bools


def compiled(function: Function, inline: Literal["never", "always"] = "never") -> Function:
    """Have numba make machine code of a function at its first call, and keep it on disk where there is a place for it.

    Nothing here makes an array. Without numba's reference counts (``_nrt``) a call that hands all columns on costs a
    quarter of what it does with them.
    """
    try:
        return cast("Function", njit(cache=True, nogil=True, _nrt=False, inline=inline)(function))
    except RuntimeError:  # neither this folder nor the user's own can be written: made anew at each start
        return cast("Function", njit(nogil=True, _nrt=False, inline=inline)(function))


def in_place(function: Function) -> Function:
    """The same for what every measurement needs: it stands where it is called, for a call costs more than what it does."""
    return compiled(function, "always")


@compiled
def has(mask: int, column: int) -> bool:
    return column >= 0 and (mask >> column) & 1 != 0


@compiled
def offset(w: Core | Remembered, p: int, at: int) -> int:
    """The local time's distance to UTC."""
    low, high = w.of[p, ZONE], w.of[p, ZONE_END]
    while high - low > 1:
        middle = (low + high) // 2
        if w.zones[middle, 0] <= at:
            low = middle
        else:
            high = middle
    return w.zones[low, 1]


@compiled
def local_day(w: Core | Remembered, p: int, at: int) -> int:
    return (at + offset(w, p, at)) // DAY_US


@compiled
def part_of_day(w: Core | Remembered, p: int, at: int) -> int:
    return (at + offset(w, p, at)) % DAY_US // _PART_US


@in_place
def gap(older: Shorts, row: int, place: int) -> int:
    """By how much a remembered measurement is older than the newest, or ``FORGOTTEN``."""
    high, middle, low = older[row, place + 2], older[row, place + 1], older[row, place]
    return (np.int64(high) << 32) | (np.int64(middle) << 16) | np.int64(low)


@in_place
def set_gap(older: Shorts, row: int, place: int, by: int) -> None:
    by = min(by, FORGOTTEN)
    older[row, place], older[row, place + 1], older[row, place + 2] = by & 0xFFFF, (by >> 16) & 0xFFFF, by >> 32


@compiled
def time_at(w: Core | Remembered, row: int, column: int, i: int) -> int:
    """When the value in place ``i`` was measured, of which 0 is the newest, or ``LONG_AGO``."""
    newest = w.times[row, w.columns[column, C_TIME_AT]]
    if i == 0:
        return newest
    older = gap(w.older, row, w.columns[column, C_OLDER_AT] + GAP * (i - 1))
    return newest - older if older < FORGOTTEN else np.int64(LONG_AGO)


@in_place
def newest_at(w: Core | Remembered, row: int, column: int) -> int:
    return w.times[row, w.columns[column, C_TIME_AT]]


@in_place
def newest_value(w: Core | Remembered, row: int, column: int) -> np.float32:
    return w.values[row, w.columns[column, C_VALUE_AT]] if w.columns[column, C_VALUE_AT] >= 0 else np.float32(np.nan)


@compiled
def value_at(w: Core | Remembered, row: int, column: int, at: int) -> np.float32:
    """The value remembered at exactly this time, or NaN."""
    if w.columns[column, C_VALUE_AT] < 0:
        return np.float32(np.nan)
    for i in range(w.columns[column, C_DEPTH]):
        if time_at(w, row, column, i) == at:
            return w.values[row, w.columns[column, C_VALUE_AT] + i]
    return np.float32(np.nan)


@in_place
def newest_day(w: Core | Remembered, row: int, column: int) -> int:
    """The newest local day of which something is known, or ``NO_DAY``."""
    return np.int64(w.numbers[row, w.columns[column, C_DAY_AT]])


@in_place
def remember_day(w: Core | Remembered, row: int, column: int, day: int, value: np.float32) -> None:
    """Add a value to its local day, unless that day is too long ago."""
    days, base = w.columns[column, C_DAYS], w.columns[column, C_DAY_VALUE_AT]
    counts = w.columns[column, C_DAY_COUNT_AT]
    newest = newest_day(w, row, column)
    if day > newest:
        for i in range(max(newest + 1, day - days + 1), day + 1):
            w.values[row, base + i % days] = 0.0
            w.counts[row, counts + i % days] = 0
        w.numbers[row, w.columns[column, C_DAY_AT]] = day
    elif day <= newest - days:
        return
    slot = day % days
    if w.counts[row, counts + slot] < _MOST_COUNTED:
        w.values[row, base + slot] += value
        w.counts[row, counts + slot] += 1


@in_place
def days_kept(w: Core | Remembered, row: int, column: int, first: int, last: int) -> tuple[int, int, int]:
    """The local days from ``first`` to ``last`` of which something can be known, as a range, and the place of the first."""
    newest, days = newest_day(w, row, column), w.columns[column, C_DAYS]
    begin, end = max(first, newest - days + 1), min(last, newest) + 1
    return begin, end, begin % days


@in_place
def day_count(w: Core | Remembered, row: int, column: int, slot: int) -> int:
    """How many readings a local day has."""
    return np.int64(w.counts[row, w.columns[column, C_DAY_COUNT_AT] + slot])


@in_place
def day_sum(w: Core | Remembered, row: int, column: int, slot: int) -> float:
    return np.float64(w.values[row, w.columns[column, C_DAY_VALUE_AT] + slot])


@in_place
def average(w: Core | Remembered, row: int, limit: int, today: int) -> Statistic:
    column, first = w.limits[limit, L_COLUMN], w.limits[limit, L_DROPS_FIRST]
    begin, end, slot = days_kept(w, row, column, today - w.limits[limit, L_DAYS] + 1, today)
    total, count = 0.0, 0
    for _ in range(begin, end):
        here = day_count(w, row, column, slot)
        if here and first:
            first = 0
        elif here:
            total += day_sum(w, row, column, slot)
            count += here
        slot = slot + 1 if slot + 1 < w.columns[column, C_DAYS] else 0
    if count == 0 or count < w.limits[limit, L_NEEDS]:
        return np.nan, 0.0, 0.0
    return total / count, float(count), 0.0


@in_place
def deviation(w: Core | Remembered, row: int, limit: int, today: int, relative: bool) -> Statistic:
    column = w.limits[limit, L_COLUMN]
    begin, end, slot = days_kept(w, row, column, today - w.limits[limit, L_DAYS] + 1, today)
    total, count, first = 0.0, 0, slot
    for _ in range(begin, end):
        here = day_count(w, row, column, slot)
        if here:
            total += day_sum(w, row, column, slot) / here
            count += 1
        slot = slot + 1 if slot + 1 < w.columns[column, C_DAYS] else 0
    if count < 2 or count < w.limits[limit, L_NEEDS]:
        return np.nan, 0.0, 0.0
    mean, squares, slot = total / count, 0.0, first
    if relative and mean == 0.0:
        return np.nan, 0.0, 0.0
    for _ in range(begin, end):
        here = day_count(w, row, column, slot)
        if here:
            squares += (day_sum(w, row, column, slot) / here - mean) ** 2
        slot = slot + 1 if slot + 1 < w.columns[column, C_DAYS] else 0
    spread = np.sqrt(squares / (count - 1))
    return (100.0 * spread / mean if relative else spread), float(count), 0.0


@in_place
def trend(w: Core | Remembered, row: int, limit: int, today: int) -> Statistic:
    """Least-squares slope of the daily means, per week."""
    column = w.limits[limit, L_COLUMN]
    begin, end, slot = days_kept(w, row, column, today - w.limits[limit, L_DAYS] + 1, today)
    total, when, count, first = 0.0, 0.0, 0, slot
    for day in range(begin, end):
        here = day_count(w, row, column, slot)
        if here:
            total += day_sum(w, row, column, slot) / here
            when += day - today
            count += 1
        slot = slot + 1 if slot + 1 < w.columns[column, C_DAYS] else 0
    if count < 2 or count < w.limits[limit, L_NEEDS]:
        return np.nan, 0.0, 0.0
    mean, middle, above, below, slot = total / count, when / count, 0.0, 0.0, first
    for day in range(begin, end):
        here = day_count(w, row, column, slot)
        if here:
            x = day - today - middle
            above += x * (day_sum(w, row, column, slot) / here - mean)
            below += x * x
        slot = slot + 1 if slot + 1 < w.columns[column, C_DAYS] else 0
    return 7.0 * above / below, float(count), 0.0


@in_place
def change(w: Core | Remembered, row: int, limit: int, as_of: int, today: int, sign: float) -> Statistic:
    """How far the newest value lies above the lowest (``sign`` 1), or below the highest, of those before it."""
    column = w.limits[limit, L_COLUMN]
    if newest_at(w, row, column) != as_of:
        return np.nan, 0.0, 0.0
    best, count = np.inf, 0
    if w.limits[limit, L_DAYS] > 0:
        begin, end, slot = days_kept(w, row, column, today - w.limits[limit, L_DAYS], today - 1)
        for _ in range(begin, end):
            here = day_count(w, row, column, slot)
            if here:
                best = min(best, sign * day_sum(w, row, column, slot) / here)
                count += 1
            slot = slot + 1 if slot + 1 < w.columns[column, C_DAYS] else 0
    else:
        for i in range(w.columns[column, C_DEPTH]):
            at = time_at(w, row, column, i)
            if as_of - w.limits[limit, L_WITHIN] <= at < as_of:
                best = min(best, sign * np.float64(w.values[row, w.columns[column, C_VALUE_AT] + i]))
                count += 1
    if count == 0:
        return np.nan, 0.0, 0.0
    return sign * np.float64(newest_value(w, row, column)) - best, sign * best, 0.0


@in_place
def from_usual(w: Core | Remembered, row: int, limit: int, as_of: int, part: int) -> Statistic:
    column = w.limits[limit, L_COLUMN]
    if newest_at(w, row, column) != as_of:
        return np.nan, 0.0, 0.0
    base = w.columns[column, C_USUAL_AT] + 2 * part
    if w.counts[row, w.columns[column, C_USUAL_COUNT_AT] + part] < w.limits[limit, L_NEEDS]:
        return np.nan, 0.0, 0.0
    mean = np.float64(w.values[row, base])
    return np.float64(newest_value(w, row, column)) - mean, mean, np.float64(w.values[row, base + 1])


@in_place
def points(w: Core | Remembered, p: int, row: int, score: int, as_of: int, worst: bool) -> Statistic:
    """The points of a score, how many parts are known, and of how many."""
    total, highest, known, parts = 0, 0, 0, 0
    for part in range(w.scores[score, S_PART], w.scores[score, S_PART_END]):
        if not w.concerns[p, w.parts[part, P_CONCERNS]]:
            continue
        parts += 1
        column = w.parts[part, P_COLUMN]
        at = newest_at(w, row, column)
        if as_of - w.scores[score, S_FRESH] <= at <= as_of:
            band, value = w.parts[part, P_BAND], newest_value(w, row, column)
            while value > w.band_edge[band]:
                band += 1
            known += 1
            total += w.band_points[band]
            highest = max(highest, w.band_points[band])
    if known == 0 or known < w.scores[score, S_NEEDS]:
        return np.nan, 0.0, 0.0
    return float(highest if worst else total + w.of[p, EXTRA + score]), float(known), float(parts)


@in_place
def statistic(w: Core | Remembered, p: int, row: int, limit: int, as_of: int, local: int) -> Statistic:
    """What a limit judges, and two numbers of which it was made; NaN where it is unknown. ``local`` is what the clock
    of the resident's home shows then."""
    kind, today = w.limits[limit, L_STATISTIC], local // DAY_US
    if kind == AVERAGE:
        return average(w, row, limit, today)
    if kind in (DEVIATION, VARIATION):
        return deviation(w, row, limit, today, kind == VARIATION)
    if kind == TREND:
        return trend(w, row, limit, today)
    if kind in (RISE, DROP):
        return change(w, row, limit, as_of, today, 1.0 if kind == RISE else -1.0)
    if kind == FROM_USUAL:
        return from_usual(w, row, limit, as_of, local % DAY_US // _PART_US)
    return points(w, p, row, w.limits[limit, L_SCORE], as_of, kind == WORST_PART)


@compiled
def learn(w: Core | Remembered, p: int, row: int, at: int, values: Floats, present: int) -> None:
    """Let what is usual at this part of the day take in a measurement."""
    part = part_of_day(w, p, at)
    for column in range(len(w.columns)):
        if w.columns[column, C_USUAL_AT] >= 0 and (present >> column) & 1:
            learn_one(w, row, column, part, values[column])


@in_place
def learn_one(w: Core | Remembered, row: int, column: int, part: int, value: np.float32) -> None:
    base, counted_at = w.columns[column, C_USUAL_AT] + 2 * part, w.columns[column, C_USUAL_COUNT_AT] + part
    n, mean, spread = (
        np.int64(w.counts[row, counted_at]),
        np.float64(w.values[row, base]),
        np.float64(w.values[row, base + 1]),
    )
    if n == 0:
        w.values[row, base] = value
    else:
        weight = 1.0 / (n + 1) if n < _REMEMBERED else 1.0 / _REMEMBERED
        surprise = np.float64(value) - mean
        if n >= _CLIPS_FROM:
            most = _CLIPS_AT * max(spread, np.float64(w.floor[column]))
            surprise = min(max(surprise, -most), most)
        w.values[row, base] = mean + weight * surprise
        w.values[row, base + 1] = spread + weight * (_SPREAD * abs(surprise) - spread)
    w.counts[row, counted_at] = min(n + 1, _MOST_COUNTED)


@compiled
def is_ill(links: Int32s, stands: Int64s, rules: Int64s, record: int, at: int) -> bool:
    """Whether one of the records from ``record`` on is an alarm on her own body, raised less than a fortnight before."""
    while record >= 0:
        if (
            links[record, PHASE] == ACTIVE
            and rules[links[record, RULE], R_PHYSIOLOGICAL]
            and stands[record, RAISED_AT] > at - _FROZEN_US
        ):
            return True
        record = links[record, NEXT]
    return False


@compiled
def find(w: Core, row: int, rule: int) -> int:
    """The record of this resident and rule, or -1: she is simply calm."""
    return standing(w.links, np.int64(w.numbers[row, HEAD]), rule)


@compiled
def take(w: Core, row: int, rule: int) -> int:
    """A new calm record. There must be room for it."""
    record = w.pool[FREE]
    if record >= 0:
        w.pool[FREE] = w.links[record, NEXT]
    else:
        record = w.pool[USED]
        w.pool[USED] += 1
    for i in range(STANDS):
        w.stands[record, i] = LONG_AGO
    w.links[record, ROW], w.links[record, RULE], w.links[record, NEXT] = row, rule, w.numbers[row, HEAD]
    w.links[record, PHASE], w.links[record, BY_DEVICE] = CALM, 0
    empty(w.kept, record)
    w.numbers[row, HEAD] = record
    return record


@compiled
def give_back(w: Core, record: int) -> None:
    """Forget a record."""
    row = w.links[record, ROW]
    if w.numbers[row, HEAD] == record:
        w.numbers[row, HEAD] = w.links[record, NEXT]
    else:
        before = np.int64(w.numbers[row, HEAD])
        while w.links[before, NEXT] != record:
            before = w.links[before, NEXT]
        w.links[before, NEXT] = w.links[record, NEXT]
    w.links[record, ROW] = -1
    w.links[record, NEXT] = w.pool[FREE]
    w.pool[FREE] = record


@compiled
def forget_if_idle(w: Core, record: int) -> None:
    """A calm record that holds nothing, neither a run nor days nor a note, is not kept."""
    if w.links[record, PHASE] == CALM and w.stands[record, RUN] == LONG_AGO:
        give_back(w, record)


@compiled
def settle(w: Core, record: int, phase: int, due: int) -> None:
    """``due`` is when a question times out; an alarm that begins has not been calm yet."""
    w.links[record, PHASE] = phase
    w.stands[record, DUE] = due if phase == ASKING else LONG_AGO
    if phase == ASKING:
        lower_due(w, w.links[record, ROW], due)


@compiled
def close(w: Core, rows: Int64s, rules: Int64s) -> None:
    """Somebody has closed the alarm of each of these rows and rules, if there is one: she is judged anew."""
    for i in range(len(rows)):
        record = find(w, rows[i], rules[i])
        if record >= 0:
            settle(w, record, CALM, NEVER)
            forget_if_idle(w, record)
            w.dirty[rows[i]] = True


@compiled
def lower_due(w: Core, row: int, due: int) -> None:
    if due < w.times[row, NEXT_DUE]:
        w.times[row, NEXT_DUE] = due
    if due < w.block_due[row // BLOCK]:
        w.block_due[row // BLOCK] = due


@compiled
def fire(w: Core, row: int, rule: int, what: int, at: int, until: int, count: int, device: int) -> int:
    """A firing without values; returns its number."""
    number = w.told_count[0]
    w.told[number, F_ROW], w.told[number, F_RULE], w.told[number, F_WHAT] = row, rule, what
    w.told[number, F_AT], w.told[number, F_UNTIL] = at, until
    w.told[number, F_COUNT], w.told[number, F_DEVICE] = count, device
    empty(w.told_values, number)

    w.told_count[0] = number + 1
    return number


@compiled
def empty(values: Floats, i: int) -> None:
    for k in range(values.shape[1]):
        values[i, k] = np.nan


@compiled
def tell_kept(w: Core, number: int, record: int) -> None:
    """A firing's values are those kept in a record."""
    for k in range(w.kept.shape[1]):
        w.told_values[number, k] = w.kept[record, k]


@compiled
def fill(
    w: Core, row: int, rule: int, at: int, values: Floats, present: int, own_at: int, into: Floats, i: int, start: int
) -> None:
    """The values of a rule's metrics at one time: those of the measurement being judged, else those remembered.

    They go ``into[i]``, from ``start`` on.
    """
    first = w.rules[rule, R_MEASURED]
    for k in range(first, w.rules[rule, R_MEASURED_END]):
        column = w.lists[k]
        value = values[column] if at == own_at and has(present, column) else value_at(w, row, column, at)
        if value == value:
            into[i, start + k - first] = value


@compiled
def over_at(w: Core, p: int, row: int, rule: int, at: int) -> bool:
    """Whether one of a level rule's remembered values of this time is over."""
    for limit in range(w.rules[rule, R_WHEN], w.rules[rule, R_WHEN_END]):
        value = value_at(w, row, w.limits[limit, L_COLUMN], at)
        if w.limits[limit, L_SIGN] * value >= w.levels[p, limit, OVER]:
            return True
    return False


@compiled
def next_older(w: Core, row: int, rule: int, before: int) -> int:
    """The newest remembered time of a rule's metrics before this one, or ``LONG_AGO``."""
    found = np.int64(LONG_AGO)
    for limit in range(w.rules[rule, R_WHEN], w.rules[rule, R_WHEN_END]):
        column = w.limits[limit, L_COLUMN]
        for i in range(w.columns[column, C_DEPTH]):
            at = time_at(w, row, column, i)
            if at < before:
                found = max(found, at)
                break
    return found


@compiled
def counted(w: Core, p: int, row: int, rule: int, newest: int, since: int, own: int) -> tuple[int, int, bool]:
    """Of the newest n measurements up to ``newest``, none before ``since``: how many are over, the oldest of these, and
    whether the one at ``own`` is among them."""
    count, oldest, is_one, at = 0, np.int64(LONG_AGO), False, newest
    for _ in range(w.rules[rule, R_N]):
        if at < since or at == LONG_AGO:
            break
        if over_at(w, p, row, rule, at):
            count += 1
            oldest = at
            is_one = is_one or at == own
        at = next_older(w, row, rule, at)
    return count, oldest, is_one


@compiled
def is_required(w: Core, row: int, rule: int, at: int) -> bool:
    """Whether all that must be so besides is so, by the newest of each that was measured no later."""
    for i in range(w.rules[rule, R_REQUIRED], w.rules[rule, R_REQUIRED_END]):
        column, k = w.required[i, Q_COLUMN], 0
        depth = w.columns[column, C_DEPTH]
        while k < depth and time_at(w, row, column, k) > at:
            k += 1
        if k == depth or time_at(w, row, column, k) < at - w.required[i, Q_WITHIN]:
            return False
        if w.columns[column, C_VALUE_AT] >= 0:
            value = w.values[row, w.columns[column, C_VALUE_AT] + k]
            if not w.required[i, Q_SIGN] * value >= w.required_level[i]:
                return False
    return True


@compiled
def began(w: Core, row: int, rule: int, at: int) -> int:
    """When the episode began to which an event belongs; with itself, where nothing came before it."""
    column = w.rules[rule, R_BEGAN_COLUMN]
    if column < 0:
        return at
    before = newest_at(w, row, column)
    return before if at - w.rules[rule, R_BEGAN_WITHIN] <= before <= at else at


@compiled
def is_taken_back(w: Core, row: int, rule: int, at: int) -> bool:
    """Whether an event has come that takes this one back."""
    for i in range(w.rules[rule, R_UNLESS], w.rules[rule, R_UNLESS_END]):
        if newest_at(w, row, w.lists[i]) >= at:
            return True
    for i in range(w.rules[rule, R_UNLESS_SINCE], w.rules[rule, R_UNLESS_SINCE_END]):
        if newest_at(w, row, w.lists[i]) >= began(w, row, rule, at):
            return True
    return False


@compiled
def notes_now(w: Core, record: int, at: int) -> bool:
    """Whether a note of the past is due: none of this rule lies within a day."""
    if record < 0:
        return True
    noted = w.stands[record, NOTED_AT]
    return w.links[record, PHASE] == CALM and (noted == LONG_AGO or abs(at - noted) >= DAY_US)


@compiled
def note(w: Core, row: int, rule: int, record: int, at: int, values: Floats, present: int, device: int) -> None:
    """What would have been an alarm, had it been known in time."""
    if record < 0:
        record = take(w, row, rule)
    w.stands[record, NOTED_AT] = at
    number = fire(w, row, rule, NOTE, at, NEVER, 1, device if w.rules[rule, R_KIND] == DEVICE else -1)
    fill(w, row, rule, at, values, present, at, w.told_values, number, 0)


@compiled
def raise_kept(w: Core, p: int, record: int) -> None:
    """Raise with what is kept of the question that was not answered."""
    row, rule, at = w.links[record, ROW], w.links[record, RULE], w.stands[record, LAST_AT]
    count, oldest = 1, at
    if w.rules[rule, R_KIND] == LEVEL:
        newest = next_older(w, row, rule, NEVER)
        since = min(newest - w.rules[rule, R_WITHIN], w.stands[record, FIRST_AT])
        count, oldest, _ = counted(w, p, row, rule, newest, since, at)
    number = fire(w, row, rule, RAISE, at, NEVER, count, -1)
    tell_kept(w, number, record)
    if count > 1 and oldest != at:
        fill(w, row, rule, oldest, w.scratch, np.int64(0), LONG_AGO, w.told_values, number, w.kept.shape[1])
    w.stands[record, RAISED_AT] = at
    settle(w, record, ACTIVE, NEVER)


@compiled
def run_timers(w: Core, row: int, before: int) -> None:
    """Let this resident's timers run that are due before a moment, the earliest first; then say when the next is due."""
    p = np.int64(w.numbers[row, PROFILE])
    while True:
        due, rule, record = find_due(w, row, p)
        if due >= before or rule < 0:
            break
        w.dirty[row] = True
        if record >= 0 and w.rules[rule, R_KIND] != SILENCE_AFTER:
            raise_kept(w, p, record)
            continue
        if record < 0:
            record = take(w, row, rule)
        w.stands[record, RAISED_AT] = due
        settle(w, record, ACTIVE, NEVER)
        fire(w, row, rule, RAISE, due, NEVER, -1, -1)
    w.times[row, NEXT_DUE] = due
    lower_due(w, row, due)


@compiled
def find_due(w: Core, row: int, p: int) -> tuple[int, int, int]:
    """The resident's next timer: when, of which rule, and its record (-1: a silence that runs)."""
    due, rule, found = np.int64(NEVER), np.int64(-1), np.int64(-1)
    record = np.int64(w.numbers[row, HEAD])
    while record >= 0:
        its, its_rule = w.stands[record, DUE], np.int64(w.links[record, RULE])
        if w.links[record, PHASE] == ASKING and (its < due or (its == due and its_rule < rule)):
            due, rule, found = its, its_rule, record
        record = np.int64(w.links[record, NEXT])
    for its_rule in range(len(w.rules)):
        if w.rules[its_rule, R_KIND] == SILENCE and w.concerns[p, its_rule]:
            its = w.times[row, w.rules[its_rule, R_SILENCE_AT]] + w.rules[its_rule, R_SILENCE]
            if (its < due or (its == due and its_rule < rule)) and find(w, row, its_rule) < 0:
                due, rule, found = its, np.int64(its_rule), np.int64(-1)
    return due, rule, found


@compiled
def take_back(w: Core, row: int, rule: int, at: int) -> None:
    """The event came that takes the rule's own event back."""
    record = find(w, row, rule)
    if record < 0 or w.links[record, PHASE] == CALM or at < w.stands[record, LAST_AT]:
        return
    what = ANSWERED if w.links[record, PHASE] == ASKING else CLEAR
    number = fire(w, row, rule, what, at, NEVER, -1, -1)
    tell_kept(w, number, record)
    settle(w, record, CALM, NEVER)
    forget_if_idle(w, record)


@compiled
def hear(w: Core, row: int, rule: int, at: int, received: int, p: int) -> None:
    """The metric whose silence the rule watches has spoken."""
    record = find(w, row, rule)
    if w.rules[rule, R_KIND] == SILENCE_AFTER:
        if record >= 0 and at > w.stands[record, LAST_AT]:
            if w.links[record, PHASE] == ACTIVE:
                fire(w, row, rule, CLEAR, at, NEVER, -1, -1)
            give_back(w, record)
        return
    column = w.rules[rule, R_SILENCE_AT]
    w.times[row, column] = max(w.times[row, column], at)
    if record >= 0 and at + w.rules[rule, R_SILENCE] >= received:
        fire(w, row, rule, CLEAR, at, NEVER, -1, -1)
        give_back(w, record)
        lower_due(w, row, w.times[row, column] + w.rules[rule, R_SILENCE])


@compiled
def judge_after(w: Core, row: int, rule: int, at: int, received: int) -> None:
    """The event came after which something must be heard."""
    if at < received - w.rules[rule, R_EXPIRES] or newest_at(w, row, w.rules[rule, R_SILENT_COLUMN]) > at:
        return
    record = find(w, row, rule)
    if record < 0:
        record = take(w, row, rule)
    if w.links[record, PHASE] != ACTIVE and at > w.stands[record, LAST_AT]:
        w.stands[record, LAST_AT] = at
        settle(w, record, ASKING, at + w.rules[rule, R_SILENCE])


@compiled
def keep(w: Core, row: int, record: int, rule: int, at: int, values: Floats, present: int) -> None:
    """Keep the values of the newest measurement that was over while a question stands."""
    if at != w.stands[record, LAST_AT]:
        empty(w.kept, record)
    w.stands[record, LAST_AT] = at
    fill(w, row, rule, at, values, present, at, w.kept, record, 0)


@compiled
def judge_event(w: Core, row: int, rule: int, at: int, received: int, values: Floats, present: int, p: int) -> None:
    """An event came: an episode of its own."""
    limit = w.rules[rule, R_WHEN]
    over = w.limits[limit, L_SIGN] * values[w.limits[limit, L_COLUMN]] >= w.levels[p, limit, OVER]
    if not over or is_taken_back(w, row, rule, at):
        return
    record = find(w, row, rule)
    phase = CALM if record < 0 else w.links[record, PHASE]
    past = at < received - w.rules[rule, R_EXPIRES]
    if phase == ASKING:
        if not past and at >= w.stands[record, LAST_AT]:
            keep(w, row, record, rule, at, values, present)
        return
    if (phase == ACTIVE and at <= w.stands[record, LAST_AT]) or not is_required(w, row, rule, at):
        return
    if past:
        if notes_now(w, record, at):
            note(w, row, rule, record, at, values, present, -1)
        return
    if record < 0:
        record = take(w, row, rule)
    keep(w, row, record, rule, at, values, present)
    w.stands[record, FIRST_AT] = at
    if w.rules[rule, R_ASK] > 0:
        settle(w, record, ASKING, received + w.rules[rule, R_ASK])
        number = fire(w, row, rule, ASK, at, received + w.rules[rule, R_ASK], 1, -1)
    else:
        w.stands[record, RAISED_AT] = at
        settle(w, record, ACTIVE, NEVER)
        number = fire(w, row, rule, RAISE, at, NEVER, 1, -1)
    tell_kept(w, number, record)


@compiled
def confirm(w: Core, row: int, rule: int, at: int, received: int, value: np.float32) -> None:
    """The event came that confirms the rule's own: nothing is waited for any more; what never came is made up."""
    if at < received - w.rules[rule, R_EXPIRES] or is_taken_back(w, row, rule, at):
        return
    record = find(w, row, rule)
    phase = CALM if record < 0 else w.links[record, PHASE]
    if phase == ACTIVE and began(w, row, rule, at) <= w.stands[record, LAST_AT]:
        w.told_values[fire(w, row, rule, CONFIRMED, at, NEVER, -1, -1), CONFIRMATION] = value
        return
    if phase == ASKING and w.stands[record, LAST_AT] > at:
        return
    if phase != ASKING and not is_required(w, row, rule, at):
        return
    if record < 0:
        record = take(w, row, rule)
    if phase != ASKING:
        empty(w.kept, record)
        w.kept[record, 0] = value
        w.stands[record, FIRST_AT] = w.stands[record, LAST_AT] = at
    w.stands[record, RAISED_AT] = w.stands[record, LAST_AT]
    settle(w, record, ACTIVE, NEVER)
    number = fire(w, row, rule, RAISE, w.stands[record, LAST_AT], NEVER, 1, -1)
    tell_kept(w, number, record)
    w.told_values[number, CONFIRMATION] = value


@compiled
def has_said_newer(w: Core, row: int, rule: int, at: int, device: int, present: int) -> bool:
    """Whether the same device has said something newer of itself already."""
    for limit in range(w.rules[rule, R_WHEN], w.rules[rule, R_WHEN_END]):
        column = w.limits[limit, L_COLUMN]
        last = w.numbers[row, w.columns[column, C_DEVICE_AT]]
        if has(present, column) and newest_at(w, row, column) > at and last == device:
            return True
    return False


@compiled
def judge_device(
    w: Core, row: int, rule: int, at: int, received: int, device: int, values: Floats, present: int, p: int
) -> None:
    """A device spoke of itself. While one is at fault the others are not heard."""
    over, known, behind = weigh(w, p, row, rule, at, values, present)
    record = find(w, row, rule)
    if record >= 0 and w.links[record, PHASE] == ACTIVE:
        if w.links[record, BY_DEVICE] != device or at < w.stands[record, HEARD_AT]:
            return
        w.stands[record, HEARD_AT] = at
        if known and behind:
            number = fire(w, row, rule, CLEAR, at, NEVER, -1, -1)
            fill(w, row, rule, at, values, present, at, w.told_values, number, 0)
            settle(w, record, CALM, NEVER)
            forget_if_idle(w, record)
        return
    if not over or has_said_newer(w, row, rule, at, device, present) or not is_required(w, row, rule, at):
        return
    if at < received - w.rules[rule, R_EXPIRES]:
        if notes_now(w, record, at):
            note(w, row, rule, record, at, values, present, device)
        return
    if record < 0:
        record = take(w, row, rule)
    settle(w, record, ACTIVE, NEVER)
    w.links[record, BY_DEVICE], w.stands[record, HEARD_AT] = device, at
    w.stands[record, LAST_AT], w.stands[record, RAISED_AT] = at, at
    number = fire(w, row, rule, RAISE, at, NEVER, 1, device)
    fill(w, row, rule, at, values, present, at, w.told_values, number, 0)


@compiled
def weigh(w: Core, p: int, row: int, rule: int, at: int, values: Floats, present: int) -> tuple[bool, bool, bool]:
    """Whether one value at this time is over, whether all are known, and whether those known are behind their clear level."""
    over, known, behind = False, True, True
    for limit in range(w.rules[rule, R_WHEN], w.rules[rule, R_WHEN_END]):
        column = w.limits[limit, L_COLUMN]
        value = values[column] if has(present, column) else value_at(w, row, column, at)
        if value != value:
            known = False
            continue
        over = over or w.limits[limit, L_SIGN] * value >= w.levels[p, limit, OVER]
        behind = behind and w.limits[limit, L_SIGN] * value <= w.levels[p, limit, CLEAR_AT]
    return over, known, behind


@compiled
def is_remembered(w: Core, row: int, rule: int, at: int) -> bool:
    for limit in range(w.rules[rule, R_WHEN], w.rules[rule, R_WHEN_END]):
        column = w.limits[limit, L_COLUMN]
        for i in range(w.columns[column, C_DEPTH]):
            if time_at(w, row, column, i) == at:
                return True
    return False


@compiled
def note_day(w: Core, record: int, day: int) -> None:
    """Note that the count was reached on this local day."""
    mask, base = w.stands[record, MASK], np.int64(w.links[record, BASE_DAY])
    if mask == LONG_AGO or day > base:
        mask = np.int64(0) if mask == LONG_AGO or day - base >= _MASK_DAYS else (mask << (day - base)) & _MASK
        base = day
    if base - day < _MASK_DAYS:
        mask |= np.int64(1) << (base - day)
    w.stands[record, MASK], w.links[record, BASE_DAY] = mask, base


@compiled
def days_noted(w: Core, record: int, day: int, within: int) -> int:
    """On how many of the last days, this one among them, the count was reached."""
    count = 0
    for back in range(within):
        bit = w.links[record, BASE_DAY] - (day - back)
        if 0 <= bit < _MASK_DAYS and (w.stands[record, MASK] >> bit) & 1:
            count += 1
    return count


@compiled
def keep_run(w: Core, record: int, at: int, newest: int, over: bool, known: bool) -> None:
    """Since when the newest measurements have been over without a break."""
    run = w.stands[record, RUN]
    if at == newest:
        if over and run == LONG_AGO:
            w.stands[record, RUN] = at
        elif known and not over:
            w.stands[record, RUN] = LONG_AGO
    elif known and not over and run != LONG_AGO and at >= run:
        w.stands[record, RUN] = newest


@compiled
def is_long_calm(w: Core, record: int, rule: int, at: int, newest: int, known: bool, behind: bool) -> bool:
    """Whether the newest measurement is calm, and has been for as long as the rule asks for."""
    since, calm = w.stands[record, CALM_SINCE], known and behind
    if at != newest:
        if not behind and since != LONG_AGO and at >= since:
            w.stands[record, CALM_SINCE] = newest
        return False
    if not behind:
        w.stands[record, CALM_SINCE] = LONG_AGO
    elif calm and since == LONG_AGO:
        w.stands[record, CALM_SINCE] = at
    return calm and newest - w.stands[record, CALM_SINCE] >= w.rules[rule, R_CLEAR_AFTER]


@compiled
def judge_level(w: Core, row: int, rule: int, at: int, received: int, values: Floats, present: int, p: int) -> None:
    """A measurement came for a rule on vital signs."""
    over, known, behind = weigh(w, p, row, rule, at, values, present)
    record = find(w, row, rule)
    if not over and record < 0:
        return
    past = at < received - w.rules[rule, R_EXPIRES]
    remembered = is_remembered(w, row, rule, at)
    if past and over:
        note_past(w, row, rule, record, at, values, present, p, remembered)
        record = find(w, row, rule)
    if not remembered:
        return
    if record < 0:
        record = take(w, row, rule)
    decide(w, row, rule, record, at, received, values, present, p, over, known, behind, past)
    forget_if_idle(w, record)


@compiled
def note_past(
    w: Core, row: int, rule: int, record: int, at: int, values: Floats, present: int, p: int, remembered: bool
) -> None:
    """An emergency that is over before it was known: a note for the doctor, not a call."""
    if w.rules[rule, R_PERSISTS] > 0 or w.rules[rule, R_ON_DAYS] > 1 or not notes_now(w, record, at):
        return
    enough = w.rules[rule, R_K] == 1 or w.rules[rule, R_ASK] > 0
    if not enough and remembered:
        enough = counted(w, p, row, rule, at, at - w.rules[rule, R_WITHIN], at)[0] >= w.rules[rule, R_K]
    if enough and is_required(w, row, rule, at):
        note(w, row, rule, record, at, values, present, -1)


@compiled
def decide(
    w: Core,
    row: int,
    rule: int,
    record: int,
    at: int,
    received: int,
    values: Floats,
    present: int,
    p: int,
    over: bool,
    known: bool,
    behind: bool,
    past: bool,
) -> None:
    """Raise, ask, answer or clear, by the measurement that has just found its place."""
    newest = next_older(w, row, rule, NEVER)
    phase = w.links[record, PHASE]
    since = newest - w.rules[rule, R_WITHIN]
    if phase == ASKING:
        since = min(since, w.stands[record, FIRST_AT])
    newest_over = over if at == newest else over_at(w, p, row, rule, newest)
    count, oldest, is_one = counted(w, p, row, rule, newest, since, at)
    enough = is_one and newest_over and count >= w.rules[rule, R_K]
    if w.rules[rule, R_PERSISTS] > 0:
        keep_run(w, record, at, newest, over, known)
        enough = (
            enough and w.stands[record, RUN] != LONG_AGO and newest - w.stands[record, RUN] >= w.rules[rule, R_PERSISTS]
        )
    if w.rules[rule, R_ON_DAYS] > 1 and enough and is_required(w, row, rule, at):
        day = local_day(w, p, newest)
        note_day(w, record, day)
        enough = days_noted(w, record, day, w.rules[rule, R_DAYS_WITHIN] // DAY_US) >= w.rules[rule, R_ON_DAYS]
    kept_at = w.stands[record, LAST_AT]
    if phase == ASKING and (at == kept_at or (over and at > kept_at)):
        keep(w, row, record, rule, at, values, present)
    long_calm = phase == ACTIVE and is_long_calm(w, record, rule, at, newest, known, behind)
    if over and (phase == ASKING or (phase == CALM and not past)) and is_required(w, row, rule, at):
        if enough:
            raise_level(w, row, rule, record, newest, at, values, present, count, oldest)
        elif phase == CALM and at == newest and w.rules[rule, R_ASK] > 0:
            ask_again(w, row, rule, record, at, received, values, present, count)
    elif at == newest and not over and ((phase == ASKING and known) or long_calm):
        number = fire(w, row, rule, ANSWERED if phase == ASKING else CLEAR, at, NEVER, -1, -1)
        fill(w, row, rule, at, values, present, at, w.told_values, number, 0)
        settle(w, record, CALM, NEVER)


@compiled
def raise_level(
    w: Core,
    row: int,
    rule: int,
    record: int,
    newest: int,
    at: int,
    values: Floats,
    present: int,
    count: int,
    oldest: int,
) -> None:
    number = fire(w, row, rule, RAISE, newest, NEVER, count, -1)
    fill(w, row, rule, newest, values, present, at, w.told_values, number, 0)
    if count > 1 and oldest != newest:
        fill(w, row, rule, oldest, values, present, at, w.told_values, number, w.kept.shape[1])
    if w.rules[rule, R_ON_DAYS] > 1:
        w.stands[record, MASK] = LONG_AGO
    w.stands[record, RAISED_AT] = newest
    settle(w, record, ACTIVE, NEVER)


@compiled
def ask_again(
    w: Core, row: int, rule: int, record: int, at: int, received: int, values: Floats, present: int, count: int
) -> None:
    """Ask for a repeat."""
    w.stands[record, FIRST_AT] = at
    w.stands[record, LAST_AT] = LONG_AGO
    keep(w, row, record, rule, at, values, present)
    settle(w, record, ASKING, received + w.rules[rule, R_ASK])
    number = fire(w, row, rule, ASK, at, received + w.rules[rule, R_ASK], count, -1)
    tell_kept(w, number, record)


@compiled
def judge_statistic(w: Core, row: int, rule: int, received: int, p: int) -> None:
    """A reading came that changes what a rule on statistics judges."""
    record = find(w, row, rule)
    phase = CALM if record < 0 else w.links[record, PHASE]
    verdict, as_of = w.verdicts[rule, VERDICT], w.verdicts[rule, AS_OF]
    over, known, behind = verdict & IS_OVER != 0, verdict & IS_KNOWN != 0, verdict & IS_BEHIND != 0
    past = as_of < received - w.rules[rule, R_EXPIRES]
    if phase == ACTIVE:
        if is_long_calm(w, record, rule, as_of, as_of, known, behind):
            end_statistic(w, row, rule, record, CLEAR, as_of, p)
        return
    if over and is_required(w, row, rule, as_of):
        speak_statistic(w, row, rule, record, phase, as_of, received, past, p)
    elif phase == ASKING and known and not over:
        end_statistic(w, row, rule, record, ANSWERED, as_of, p)


@compiled
def end_statistic(w: Core, row: int, rule: int, record: int, what: int, as_of: int, p: int) -> None:
    number = fire(w, row, rule, what, as_of, NEVER, -1, -1)
    fill_statistics(w, row, rule, as_of, p, w.told_values, number)
    settle(w, record, CALM, NEVER)
    forget_if_idle(w, record)


@compiled
def speak_statistic(
    w: Core, row: int, rule: int, record: int, phase: int, as_of: int, received: int, past: bool, p: int
) -> None:
    """A statistic is over: ask, or raise at once, or raise because it was asked about."""
    if phase == CALM and past:
        return
    if record < 0:
        record = take(w, row, rule)
    if phase == ASKING and as_of <= w.stands[record, FIRST_AT]:
        fill_statistics(w, row, rule, as_of, p, w.kept, record)
        return
    empty(w.kept, record)
    fill_statistics(w, row, rule, as_of, p, w.kept, record)
    w.stands[record, LAST_AT] = as_of
    if phase == CALM and w.rules[rule, R_ASK] > 0:
        w.stands[record, FIRST_AT] = as_of
        settle(w, record, ASKING, received + w.rules[rule, R_ASK])
        number = fire(w, row, rule, ASK, as_of, received + w.rules[rule, R_ASK], 1, -1)
    else:
        w.stands[record, RAISED_AT] = as_of
        settle(w, record, ACTIVE, NEVER)
        number = fire(w, row, rule, RAISE, as_of, NEVER, 2 if phase == ASKING else 1, -1)
    tell_kept(w, number, record)


@compiled
def fill_statistics(w: Core, row: int, rule: int, as_of: int, p: int, into: Floats, i: int) -> None:
    """The values of the rule's metrics, then of each limit its statistic and the two numbers it was made of."""
    kept, local = w.rules[rule, R_MEASURED_END] - w.rules[rule, R_MEASURED], as_of + offset(w, p, as_of)
    for limit in range(w.rules[rule, R_WHEN], w.rules[rule, R_WHEN_END]):
        place = kept + 3 * (limit - w.rules[rule, R_WHEN])
        value, one, other = statistic(w, p, row, limit, as_of, local)
        if value == value:
            into[i, place], into[i, place + 1], into[i, place + 2] = value, one, other
        else:
            into[i, place], into[i, place + 1], into[i, place + 2] = np.nan, np.nan, np.nan
    score = w.limits[w.rules[rule, R_WHEN], L_SCORE]
    for k in range(w.rules[rule, R_MEASURED], w.rules[rule, R_MEASURED_END]):
        column = w.lists[k]
        value = value_at(w, row, column, as_of)
        if score >= 0 and is_part(w, score, column):
            value = part_value(w, p, row, score, column, as_of)
        if value == value:
            into[i, k - w.rules[rule, R_MEASURED]] = value


@compiled
def is_part(w: Core, score: int, column: int) -> bool:
    for part in range(w.scores[score, S_PART], w.scores[score, S_PART_END]):
        if w.parts[part, P_COLUMN] == column:
            return True
    return False


@compiled
def part_value(w: Core, p: int, row: int, score: int, column: int, as_of: int) -> np.float32:
    """The value by which a part of a score that concerns her is judged, or NaN."""
    for part in range(w.scores[score, S_PART], w.scores[score, S_PART_END]):
        fresh = as_of - w.scores[score, S_FRESH] <= newest_at(w, row, column) <= as_of
        if w.parts[part, P_COLUMN] == column and w.concerns[p, w.parts[part, P_CONCERNS]] and fresh:
            return newest_value(w, row, column)
    return np.float32(np.nan)


@compiled
def derive(w: Core, row: int, at: int, values: Floats, present: int, irregular: bool) -> int:
    """Add what a measurement makes of itself: an irregular pulse, the pulse pressure."""
    pulse, flag, systolic, diastolic, pressure = w.derived[0], w.derived[1], w.derived[2], w.derived[3], w.derived[4]
    if flag >= 0 and has(present, pulse):
        values[flag] = 1.0 if irregular else 0.0
        present |= np.int64(1) << flag
    if pressure >= 0 and (has(present, systolic) or has(present, diastolic)):
        high = values[systolic] if has(present, systolic) else value_at(w, row, systolic, at)
        low = values[diastolic] if has(present, diastolic) else value_at(w, row, diastolic, at)
        if high == high and low == low:
            values[pressure] = high - low
            present |= np.int64(1) << pressure
    return present


@compiled
def judge(w: Core, row: int, at: int, received: int, device: int, values: Floats, present: int) -> None:
    """One measurement meets every rule that hears it.

    Most are calm, and meet a rule of which nothing stands: then everything happens here, for a call with all columns
    costs more than what it does.
    """
    m = Remembered(
        w.columns,
        w.limits,
        w.scores,
        w.parts,
        w.band_edge,
        w.band_points,
        w.concerns,
        w.of,
        w.zones,
        w.times,
        w.numbers,
        w.older,
        w.values,
        w.counts,
        w.floor,
    )
    times, rules, concerns, hears, verdicts = w.times, w.rules, w.concerns, w.hears, w.verdicts
    p = np.int64(w.numbers[row, PROFILE])
    if times[row, NEXT_DUE] < received:
        run_timers(w, row, received)
    remember(m, p, row, at, device, values, present)
    look(m, rules, hears, w.levels, p, row, at, present, verdicts)
    for rule in range(len(rules)):
        if hears[rule] & present == 0:
            continue
        kind, record = rules[rule, R_KIND], standing(w.links, np.int64(w.numbers[row, HEAD]), rule)
        if kind == STATISTIC:
            verdict = verdicts[rule, VERDICT]
            if verdict & (IS_OVER if record < 0 else IS_NEWEST) == 0:
                continue
            if record >= 0 and w.links[record, PHASE] == ACTIVE and verdict & IS_BEHIND == 0:
                w.stands[record, CALM_SINCE] = LONG_AGO
                continue
            judge_statistic(w, row, rule, received, p)
            continue
        if record < 0:
            if kind == SILENCE:
                place = rules[rule, R_SILENCE_AT]
                times[row, place] = max(times[row, place], at)
                continue
            on_value = kind in (LEVEL, DEVICE)
            if on_value and (not concerns[p, rule] or is_calm(m, rules, w.levels, p, rule, values, present)):
                continue
        meet(w, row, rule, at, received, device, values, present, p)
    for column in range(len(w.columns)):
        if w.columns[column, C_USUAL_AT] >= 0 and (present >> column) & 1:
            if not is_ill(w.links, w.stands, rules, np.int64(w.numbers[row, HEAD]), at):
                learn(m, p, row, at, values, present)
            break


@compiled
def remember(m: Remembered, p: int, row: int, at: int, device: int, values: Floats, present: int) -> None:
    """Put each value into its place among the newest, and to its day; of one time the later arrival stays."""
    columns = m.columns
    today, day_known = np.int64(0), False
    for column in range(len(columns)):
        if (present >> column) & 1 == 0:
            continue
        i = place_for(m, row, column, at)
        if i < columns[column, C_DEPTH]:
            if columns[column, C_VALUE_AT] >= 0:
                m.values[row, columns[column, C_VALUE_AT] + i] = values[column]
            if columns[column, C_DEVICE_AT] >= 0:
                m.numbers[row, columns[column, C_DEVICE_AT]] = device
        if columns[column, C_DAYS] > 0:
            if not day_known:
                today, day_known = local_day(m, p, at), True
            remember_day(m, row, column, today, values[column])


@in_place
def place_for(m: Remembered, row: int, column: int, at: int) -> int:
    """Make room for a value among the newest; returns its place, or how many there are: it is older than all of them."""
    depth, older = m.columns[column, C_DEPTH], m.columns[column, C_OLDER_AT] - GAP
    late = newest_at(m, row, column) - at
    if late < 0:
        for j in range(depth - 1, 0, -1):
            before = gap(m.older, row, older + GAP * (j - 1)) if j > 1 else np.int64(0)
            set_gap(m.older, row, older + GAP * j, before - late)
            move_value(m, row, column, j)
        m.times[row, m.columns[column, C_TIME_AT]] = at
        return np.int64(0)
    i = np.int64(0 if late == 0 else 1)
    while 0 < i < depth and gap(m.older, row, older + GAP * i) < late:
        i += 1
    if late >= FORGOTTEN:
        return depth
    if 0 < i < depth and gap(m.older, row, older + GAP * i) != late:
        for j in range(depth - 1, i, -1):
            set_gap(m.older, row, older + GAP * j, gap(m.older, row, older + GAP * (j - 1)))
            move_value(m, row, column, j)
        set_gap(m.older, row, older + GAP * i, late)
    return i


@in_place
def move_value(m: Remembered, row: int, column: int, to: int) -> None:
    """Let a value take the place of the next older one."""
    place = m.columns[column, C_VALUE_AT]
    if place >= 0:
        m.values[row, place + to] = m.values[row, place + to - 1]


@in_place
def standing(links: Int32s, record: int, rule: int) -> int:
    """Which of the records from ``record`` on is this rule's, or -1."""
    while record >= 0 and links[record, RULE] != rule:
        record = np.int64(links[record, NEXT])
    return record


@in_place
def is_calm(m: Remembered, rules: Int64s, levels: Floats, p: int, rule: int, values: Floats, present: int) -> bool:
    """Whether all of a rule's metrics have come, and none is over."""
    for limit in range(rules[rule, R_WHEN], rules[rule, R_WHEN_END]):
        column = m.limits[limit, L_COLUMN]
        if (present >> column) & 1 == 0 or m.limits[limit, L_SIGN] * values[column] >= levels[p, limit, OVER]:
            return False
    return True


@compiled
def look(
    m: Remembered, rules: Int64s, hears: Int64s, levels: Floats, p: int, row: int, at: int, present: int, into: Int64s
) -> None:
    """What the rules on statistics say of a measurement that has found its place: for all of them at once."""
    local = at + offset(m, p, at)
    for rule in range(len(rules)):
        if hears[rule] & present == 0 or rules[rule, R_KIND] != STATISTIC:
            continue
        into[rule, VERDICT] = 0
        if not m.concerns[p, rule]:
            continue
        as_of, is_newest = newest_heard(m, rules, p, row, rule, at, present)
        if is_newest:
            then = local if as_of == at else as_of + offset(m, p, as_of)
            into[rule, VERDICT] = IS_NEWEST | verdict(m, rules, levels, p, row, rule, as_of, then)
            into[rule, AS_OF] = as_of


@in_place
def verdict(m: Remembered, rules: Int64s, levels: Floats, p: int, row: int, rule: int, as_of: int, local: int) -> int:
    over, known, behind = 0, IS_KNOWN, IS_BEHIND
    for limit in range(rules[rule, R_WHEN], rules[rule, R_WHEN_END]):
        value = m.limits[limit, L_SIGN] * np.float32(statistic(m, p, row, limit, as_of, local)[0])
        if value != value:
            known = 0
        elif value >= levels[p, limit, OVER]:
            over = IS_OVER
        if value > levels[p, limit, CLEAR_AT]:
            behind = 0
    return over | known | behind


@in_place
def newest_heard(
    m: Core | Remembered, rules: Int64s, p: int, row: int, rule: int, at: int, present: int
) -> tuple[int, bool]:
    """The newest time of all metrics a rule on statistics hears, and whether this measurement is the newest of one."""
    as_of, is_newest = np.int64(LONG_AGO), False
    for limit in range(rules[rule, R_WHEN], rules[rule, R_WHEN_END]):
        score = m.limits[limit, L_SCORE]
        if score < 0:
            column = m.limits[limit, L_COLUMN]
            as_of = max(as_of, newest_at(m, row, column))
            is_newest = is_newest or (has(present, column) and newest_at(m, row, column) == at)
            continue
        for part in range(m.scores[score, S_PART], m.scores[score, S_PART_END]):
            if m.concerns[p, m.parts[part, P_CONCERNS]]:
                column = m.parts[part, P_COLUMN]
                as_of = max(as_of, newest_at(m, row, column))
                is_newest = is_newest or (has(present, column) and newest_at(m, row, column) == at)
    return as_of, is_newest


@compiled
def meet(
    w: Core, row: int, rule: int, at: int, received: int, device: int, values: Floats, present: int, p: int
) -> None:
    """One measurement meets one rule that hears it."""
    kind = w.rules[rule, R_KIND]
    if w.rules[rule, R_SILENT_WITHOUT] & present != 0 and (w.concerns[p, rule] or kind == SILENCE):
        hear(w, row, rule, at, received, p)
    if not w.concerns[p, rule]:
        return
    if kind == EVENT and w.rules[rule, R_TAKEN_BACK_BY] & present != 0:
        take_back(w, row, rule, at)
    if w.rules[rule, R_JUDGED_BY] & present != 0:
        if kind == LEVEL:
            judge_level(w, row, rule, at, received, values, present, p)
        elif kind == EVENT:
            judge_event(w, row, rule, at, received, values, present, p)
        elif kind == DEVICE:
            judge_device(w, row, rule, at, received, device, values, present, p)
        elif kind == SILENCE_AFTER:
            judge_after(w, row, rule, at, received)
    if w.rules[rule, R_CONFIRMED_BY] & present != 0:
        confirm(w, row, rule, at, received, values[w.rules[rule, R_CONFIRM_COLUMN]])


@compiled
def is_interleaved(b: Readings, last: Int64s) -> bool:
    """Whether a measurement's readings are divided by another resident's. ``last (N,)`` is room to work in."""
    for i in range(len(b.row)):
        row = b.row[i]
        if i > 0 and b.row[i - 1] == row:
            continue
        before = last[row]
        if 0 <= before < i and b.row[before] == row and b.at[before] == b.at[i] and b.received[before] == b.received[i]:
            return True
        end = i
        while end + 1 < len(b.row) and b.row[end + 1] == row:
            end += 1
        last[row] = end
    return False


@compiled
def step(w: Core, b: Readings, order: Int64s, begin: int, room: int) -> int:
    """Judge the readings from ``order[begin]`` on; returns where it stopped, because the pool or ``out`` might overflow.

    ``room`` is how many firings, and how many new records, one measurement can make at most.
    """
    len(w.columns)
    values = w.scratch
    i, n = begin, len(order)
    while i < n:
        if w.told_count[0] + room > len(w.told) or w.pool[USED] + room > len(w.stands):
            return i
        first = order[i]
        row, at, received, device = b.row[first], b.at[first], b.received[first], b.device[first]
        present, irregular = np.int64(0), False
        while i < n:
            j = order[i]
            column = b.column[j]
            if b.row[j] != row or b.at[j] != at or b.received[j] != received or b.device[j] != device:
                break
            if has(present, column):
                break
            values[column] = b.value[j]
            present |= np.int64(1) << column
            if column == w.derived[0]:
                irregular = b.irregular[j]
            i += 1
        present = derive(w, row, at, values, present, irregular)
        w.dirty[row] = True
        judge(w, row, at, received, device, values, present)
    return n


@compiled
def run_all_timers(w: Core, rows: int, now: int, room: int) -> bool:
    """Let every timer run that is due before ``now``; false when the pool or ``out`` was full: call it again."""
    for block in range((rows + BLOCK - 1) // BLOCK):
        if w.block_due[block] >= now:
            continue
        last = min((block + 1) * BLOCK, rows)
        for row in range(block * BLOCK, last):
            if w.times[row, NEXT_DUE] < now:
                if w.told_count[0] + room > len(w.told) or w.pool[USED] + room > len(w.stands):
                    return False
                run_timers(w, row, now)
        w.block_due[block] = w.times[earliest(w, block * BLOCK, last), NEXT_DUE]
    return True


@compiled
def earliest(w: Core, first: int, last: int) -> int:
    """Which row's timer may be due first of these."""
    found = first
    for row in range(first + 1, last):
        if w.times[row, NEXT_DUE] < w.times[found, NEXT_DUE]:
            found = row
    return found


@compiled
def next_due(w: Core, rows: int) -> int:
    """When the next timer of all is due, or ``NEVER``. What was only a bound before is exact afterwards."""
    while rows > 0:
        block = 0
        for other in range(1, (rows + BLOCK - 1) // BLOCK):
            if w.block_due[other] < w.block_due[block]:
                block = other
        first, last = block * BLOCK, min((block + 1) * BLOCK, rows)
        row = earliest(w, first, last)
        if w.times[row, NEXT_DUE] > w.block_due[block]:
            w.block_due[block] = w.times[row, NEXT_DUE]
            continue
        due = find_due(w, row, np.int64(w.numbers[row, PROFILE]))[0]
        if due == w.times[row, NEXT_DUE]:
            return due
        w.times[row, NEXT_DUE] = due
        w.block_due[block] = w.times[earliest(w, first, last), NEXT_DUE]
    return np.int64(NEVER)
