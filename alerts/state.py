"""The rules core's memory: a row per resident, and a pool of what stands. Pure.

A row is saved together with what its places belong to, so that one written under another protocol is taken up where
that means the same, and left behind where it does not. There every time stands whole, however closely it is packed
in memory: how that is done may change without a row being lost.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts import kernel
from alerts.kernel import BLOCK, LONG_AGO, NEVER, Core, Pool, Profiles, State, Told
from alerts.measurements import Bools, Int64s, Rows
from alerts.parameters import USUAL, Parameters
from alerts.rule import PARTS_OF_DAY, Rule

_MAGIC: Final = b"watchrw2"
_SIZES: Final = struct.Struct("<8sHHHHHH")
_FIRST: Final = 3
"""The places of the times in a saved row are counted from here on."""
_SAVED_COLUMNS: Final = 11
_BITS: Final = 16 * np.arange(kernel.GAP)


class Memory:
    """State of ``count`` residents under one protocol. ``core`` is what the loop works on."""

    def __init__(self, parameters: Parameters, profiles: Profiles, firings: int) -> None:
        self._p = parameters
        self._t = parameters.tables
        self.count = 0
        self.rows = State(
            times=np.zeros((0, parameters.times), np.int64),
            numbers=np.zeros((0, parameters.numbers), np.int32),
            older=np.zeros((0, max(parameters.older, 1)), np.uint16),
            values=np.zeros((0, max(parameters.values, 1)), np.float32),
            counts=np.zeros((0, max(parameters.counts, 1)), np.uint8),
            block_due=np.zeros(0, np.int64),
            dirty=np.zeros(0, np.bool_),
        )
        self.pool = Pool(
            links=np.zeros((0, kernel.LINKS), np.int32),
            stands=np.zeros((0, kernel.STANDS), np.int64),
            kept=np.zeros((0, max(parameters.kept, 1)), np.float32),
            pool=np.array([-1, 0], np.int64),
        )
        self.profiles = profiles
        self.told = Told(
            told=np.zeros((firings, kernel.OUT_INTS), np.int64),
            told_values=np.zeros((firings, 2 * self.pool.kept.shape[1] + 1), np.float32),
            told_count=np.zeros(1, np.int64),
            scratch=np.zeros(len(parameters.metrics), np.float32),
            verdicts=np.zeros((len(parameters.rules), 2), np.int64),
        )
        self.resident: NDArray[np.int32] = np.zeros(0, np.int32)
        self._row_of: Rows = np.full(1024, -1, np.intp)
        self._marks = np.array([fingerprint(rule) for rule in parameters.rules], np.uint64)
        self._rule_of = {int(mark): rule for rule, mark in enumerate(self._marks)}
        self._silences = np.flatnonzero(self._t.rules[:, kernel.R_SILENCE_AT] >= 0)
        self._prefix = self._description()

    @property
    def core(self) -> Core:
        """All columns, as they lie now: adding residents or making room moves them."""
        return Core._make((*self._t, *self.profiles, *self.rows, *self.pool, *self.told))

    def row_of(self, residents: NDArray[np.int32]) -> Rows:
        """The row of each resident, -1 where there is none yet. A resident's number is not negative."""
        highest = int(residents.max(initial=0))
        if highest >= len(self._row_of):
            self._row_of = _grown(self._row_of, max(highest + 1, 2 * len(self._row_of)), -1)
        return self._row_of[residents]

    def add(self, residents: NDArray[np.int32], since: Int64s) -> Rows:
        """New rows for residents who have none, their silences counted ``since``. Each may stand here once."""
        self.row_of(residents)
        rows = np.arange(self.count, self.count + len(residents))
        self.count += len(residents)
        if self.count > len(self.resident):
            self._grow(max(self.count, 2 * len(self.resident), 64))
        self._row_of[residents] = rows
        self.resident[rows] = residents
        self.rows.dirty[rows] = True
        self.rows.times[rows[:, None], self._t.rules[self._silences, kernel.R_SILENCE_AT]] = since[:, None]
        self.hasten(rows, since + self._t.rules[self._silences, kernel.R_SILENCE].min(initial=NEVER - kernel.DAY_US))
        return rows

    def hasten(self, rows: Rows, due: Int64s) -> None:
        """The next timer of these rows may be as early as this."""
        s = self.rows
        s.times[rows, kernel.NEXT_DUE] = np.minimum(s.times[rows, kernel.NEXT_DUE], due)
        np.minimum.at(s.block_due, rows // BLOCK, due)

    def _grow(self, size: int) -> None:
        s = self.rows
        times = _grown(s.times, size, LONG_AGO)
        times[len(s.times) :, kernel.NEXT_DUE] = NEVER
        numbers = _grown(s.numbers, size, kernel.NO_DAY)
        numbers[len(s.numbers) :, [kernel.HEAD, kernel.PROFILE]] = -1, 0
        self.resident = _grown(self.resident, size, 0)
        self.rows = State(
            times=times,
            numbers=numbers,
            older=_grown(s.older, size, kernel.FORGOTTEN & 0xFFFF),
            values=_grown(s.values, size, 0),
            counts=_grown(s.counts, size, 0),
            block_due=_grown(s.block_due, -(-size // BLOCK), NEVER),
            dirty=_grown(s.dirty, size, False),
        )

    def make_room(self, records: int) -> None:
        """Let there be room in the pool for so many records more."""
        if self.pool.pool[kernel.USED] + records > len(self.pool.stands):
            size = max(2 * len(self.pool.stands), int(self.pool.pool[kernel.USED]) + records)
            links, stands = _grown(self.pool.links, size, 0), _grown(self.pool.stands, size, 0)
            self.pool = Pool(links, stands, _grown(self.pool.kept, size, np.nan), self.pool.pool)

    def records(self, row: int) -> Iterator[int]:
        """The records of a row."""
        record = int(self.rows.numbers[row, kernel.HEAD])
        while record >= 0:
            following = int(self.pool.links[record, kernel.NEXT])
            yield record
            record = following

    def bytes_each(self) -> float:
        """Bytes in memory per resident."""
        rows = sum(part[: self.count].nbytes for part in self.rows if part is not self.rows.block_due)
        used = int(self.pool.pool[kernel.USED])
        return (rows + sum(part[:used].nbytes for part in self.pool[:3])) / max(self.count, 1)

    def save(self) -> dict[int, bytes]:
        """Every row that changed since the last call, by resident."""
        s = self.rows
        rows = np.flatnonzero(s.dirty[: self.count])
        s.dirty[rows] = False
        saved = np.zeros(len(rows), _fixed(*self._widths()))
        saved["times"] = self._times(rows)
        saved["values"], saved["counts"] = s.values[rows], s.counts[rows]
        standing = [list(self.records(row)) for row in rows.tolist()]
        stood = iter(self._saved([record for records in standing for record in records]))
        return {
            int(self.resident[row]): self._prefix + fixed.tobytes() + b"".join(next(stood).tobytes() for _ in records)
            for row, fixed, records in zip(rows.tolist(), saved, standing, strict=True)
        }

    def _times(self, rows: Rows) -> Int64s:
        """The times of these rows as they are saved."""
        s, t, saved = self.rows, self._t, self._p.saved
        newest = s.times[rows][:, t.columns[:, kernel.C_TIME_AT]]
        times = np.full((len(rows), saved.times), LONG_AGO)
        times[:, saved.time_at] = newest
        of, place = _older(t.columns[:, kernel.C_DEPTH])
        gaps = (s.older[rows][:, : kernel.GAP * len(of)].reshape(len(rows), len(of), kernel.GAP) << _BITS).sum(2)
        times[:, saved.time_at[of] + place] = np.where(gaps < kernel.FORGOTTEN, newest[:, of] - gaps, LONG_AGO)
        devices, days = np.flatnonzero(saved.device_at >= 0), np.flatnonzero(saved.day_at >= 0)
        times[:, saved.device_at[devices]] = s.numbers[rows][:, t.columns[devices, kernel.C_DEVICE_AT]]
        day = s.numbers[rows][:, t.columns[days, kernel.C_DAY_AT]]
        times[:, saved.day_at[days]] = np.where(day == kernel.NO_DAY, LONG_AGO, day)
        times[:, saved.silence_at[self._silences]] = s.times[rows][:, t.rules[self._silences, kernel.R_SILENCE_AT]]
        return times

    def _saved(self, records: list[int]) -> NDArray[np.void]:
        """What stands as it is saved: each number in a place of its own."""
        links, stands = self.pool.links[records], self.pool.stands[records]
        rule, phase = links[:, kernel.RULE], links[:, kernel.PHASE]
        persists, on_days = self._kinds(rule)
        is_asked, is_active = phase == kernel.ASKING, phase == kernel.ACTIVE
        due, first, last, run = stands.T
        saved = np.zeros(len(records), _record(self.pool.kept.shape[1]))
        saved["rule"], saved["phase"], saved["values"] = self._marks[rule], phase, self.pool.kept[records]
        saved["device"] = np.where(on_days, 0, links[:, kernel.BY_DEVICE])
        saved["base_day"] = np.where(on_days, links[:, kernel.BASE_DAY], 0)
        saved["due"], saved["calm_since"] = np.where(is_asked, due, NEVER), np.where(is_active, due, LONG_AGO)
        saved["first_at"], saved["raised_at"] = (
            np.where(is_active, LONG_AGO, first),
            np.where(is_active, first, LONG_AGO),
        )
        saved["last_at"], saved["run"] = last, np.where(persists, run, LONG_AGO)
        saved["noted_at"] = np.where(persists | on_days, LONG_AGO, run)
        saved["mask"] = np.where(on_days & (run != LONG_AGO), run, 0)
        return saved

    def _kinds(self, rules: NDArray[np.int32]) -> tuple[Bools, Bools]:
        """Which of these rules persist, and which count days."""
        of = self._t.rules[rules]
        return of[:, kernel.R_PERSISTS] > 0, of[:, kernel.R_ON_DAYS] > 1

    def load(self, rows: Mapping[int, bytes]) -> tuple[Rows, Bools]:
        """Take up saved rows; returns them, and which silences (columns, as ``silences``) are still to begin."""
        by_prefix: dict[bytes, list[int]] = defaultdict(list)
        for resident, row in rows.items():
            by_prefix[_prefix(resident, row)].append(resident)
        parts = [self._load(prefix, residents, rows) for prefix, residents in by_prefix.items()]
        nothing = (np.zeros(0, np.intp), np.zeros((0, len(self._silences)), np.bool_))
        found = [nothing, *parts]
        return np.concatenate([rows for rows, _ in found]), np.concatenate([missing for _, missing in found])

    @property
    def silences(self) -> Rows:
        """The rules that watch for silence."""
        return self._silences

    def _load(self, prefix: bytes, residents: list[int], saved: Mapping[int, bytes]) -> tuple[Rows, Bools]:
        old = _Layout(prefix)
        size = len(prefix) + old.fixed.itemsize
        fixed = np.frombuffer(b"".join(saved[r][len(prefix) : size] for r in residents), old.fixed)
        ids = np.array(residents, np.int32)
        new = ids[self.row_of(ids) < 0]
        if len(new):
            self.add(new, np.full(len(new), LONG_AGO))
        rows = self.row_of(ids)
        self._take_metrics(rows, fixed, old)
        missing = self._take_silences(rows, fixed, old)
        for row, resident in zip(rows.tolist(), residents, strict=True):
            self._take_records(row, saved[resident][size:], old)
        same = prefix == self._prefix
        self.rows.dirty[rows] = not same
        self.hasten(rows, np.full(len(rows), LONG_AGO))
        return rows, missing

    def _take_metrics(self, rows: Rows, fixed: NDArray[np.void], old: _Layout) -> None:
        s, t = self.rows, self._t
        for column, code in enumerate(self._p.metrics):
            was = old.column.get(code)
            if was is None:
                continue
            mine, theirs = _Column(*t.columns[column].tolist()), _SavedColumn(*old.columns[was].tolist())
            self._take_measurements(rows, mine, fixed, theirs)
            _copy(s.values, mine.value_at, fixed["values"], theirs.value_at, min(mine.depth, theirs.depth), rows)
            _copy(s.values, mine.usual_at, fixed["values"], theirs.usual_at, USUAL, rows)
            _copy(s.counts, mine.usual_count_at, fixed["counts"], theirs.usual_count_at, PARTS_OF_DAY, rows)
            if mine.days and theirs.days:
                self._take_days(rows, mine, fixed, theirs)

    def _take_measurements(self, rows: Rows, mine: _Column, fixed: NDArray[np.void], theirs: _SavedColumn) -> None:
        s = self.rows
        times = fixed["times"][:, theirs.time_at - _FIRST :][:, : min(mine.depth, theirs.depth)]
        s.times[rows, mine.time_at] = times[:, 0]
        if mine.depth > 1:
            gaps = np.full((len(rows), mine.depth - 1), kernel.FORGOTTEN)
            known = np.where(times[:, 1:] == LONG_AGO, kernel.FORGOTTEN, times[:, :1] - times[:, 1:])
            gaps[:, : times.shape[1] - 1] = np.minimum(known, kernel.FORGOTTEN)
            packed = (gaps[:, :, None] >> _BITS & 0xFFFF).reshape(len(rows), -1)
            s.older[rows, mine.older_at : mine.older_at + packed.shape[1]] = packed
        if mine.device_at >= 0 and theirs.device_at >= 0:
            device = fixed["times"][:, theirs.device_at - _FIRST]
            s.numbers[rows, mine.device_at] = np.where(times[:, 0] == LONG_AGO, 0, device)

    def _take_days(self, rows: Rows, mine: _Column, fixed: NDArray[np.void], theirs: _SavedColumn) -> None:
        s = self.rows
        newest = fixed["times"][:, theirs.day_at - _FIRST]
        s.numbers[rows, mine.day_at] = np.maximum(newest, kernel.NO_DAY)
        known = np.flatnonzero(newest != LONG_AGO)
        for back in range(min(mine.days, theirs.days)):
            day = newest[known] - back
            here, there = day % mine.days, day % theirs.days
            s.values[rows[known], mine.day_value_at + here] = fixed["values"][known, theirs.day_value_at + there]
            s.counts[rows[known], mine.day_count_at + here] = fixed["counts"][known, theirs.day_count_at + there]

    def _take_silences(self, rows: Rows, fixed: NDArray[np.void], old: _Layout) -> Bools:
        missing = np.zeros((len(rows), len(self._silences)), np.bool_)
        for i, rule in enumerate(self._silences):
            was = old.silence_at.get(int(self._marks[rule]))
            if was is None:
                heard = self.rows.times[
                    rows, self._t.columns[self._t.rules[rule, kernel.R_SILENT_COLUMN], kernel.C_TIME_AT]
                ]
                self.rows.times[rows, self._t.rules[rule, kernel.R_SILENCE_AT]] = heard
                missing[:, i] = heard == LONG_AGO
            else:
                self.rows.times[rows, self._t.rules[rule, kernel.R_SILENCE_AT]] = fixed["times"][:, was - _FIRST]
        return missing

    def _take_records(self, row: int, saved: bytes, old: _Layout) -> None:
        for stood in np.frombuffer(saved, old.record):
            rule = self._rule_of.get(int(stood["rule"]))
            if rule is None:
                continue
            self.make_room(1)
            record = kernel.take(self.core, row, rule)
            persists, on_days = (bool(kind[0]) for kind in self._kinds(np.array([rule], np.int32)))
            phase, mask = int(stood["phase"]), int(stood["mask"])
            self.pool.links[record, kernel.PHASE] = phase
            self.pool.links[record, kernel.BY_DEVICE] = stood["base_day" if on_days else "device"]
            self.pool.stands[record] = (
                {kernel.ASKING: stood["due"], kernel.ACTIVE: stood["calm_since"]}.get(phase, LONG_AGO),
                stood["raised_at" if phase == kernel.ACTIVE else "first_at"],
                stood["last_at"],
                (mask or LONG_AGO) if on_days else stood["run" if persists else "noted_at"],
            )
            kept = min(self.pool.kept.shape[1], len(stood["values"]))
            self.pool.kept[record, :kept] = stood["values"][:kept]

    def _widths(self) -> tuple[int, int, int]:
        s = self.rows
        return self._p.saved.times, s.values.shape[1], s.counts.shape[1]

    def _description(self) -> bytes:
        """What the places of a row belong to, as :class:`_Layout` reads it."""
        code = np.array(self._p.metrics)
        sizes = _SIZES.pack(_MAGIC, len(code), len(self._silences), *self._widths(), self.pool.kept.shape[1])
        of_metrics = np.column_stack([code, *self._saved_columns()]).astype("<i2").tobytes()
        marks, at = self._marks[self._silences], self._p.saved.silence_at[self._silences] + _FIRST
        of_silences: bytes = marks.astype("<u8").tobytes() + at.astype("<i2").tobytes()
        return sizes + of_metrics + of_silences

    def _saved_columns(self) -> Iterator[Int64s]:
        """The columns of :class:`_SavedColumn`, by metric."""
        t, saved = self._t.columns, self._p.saved
        yield from (t[:, kernel.C_DEPTH], saved.time_at + _FIRST, t[:, kernel.C_VALUE_AT])
        yield np.where(saved.device_at < 0, -1, saved.device_at + _FIRST)
        yield t[:, kernel.C_DAYS]
        yield np.where(saved.day_at < 0, -1, saved.day_at + _FIRST)
        yield from t[:, kernel.C_DAY_VALUE_AT :].T


class _Column(NamedTuple):
    """A row of ``Tables.columns``."""

    depth: int
    time_at: int
    older_at: int
    value_at: int
    device_at: int
    days: int
    day_at: int
    day_value_at: int
    day_count_at: int
    usual_at: int
    usual_count_at: int


class _SavedColumn(NamedTuple):
    """Where a saved row has what is remembered of a metric."""

    depth: int
    time_at: int
    value_at: int
    device_at: int
    days: int
    day_at: int
    day_value_at: int
    day_count_at: int
    usual_at: int
    usual_count_at: int


class _Layout:
    """A saved row's description: by column of its metrics where each is remembered, by its mark each silence."""

    def __init__(self, prefix: bytes) -> None:
        _, metrics, silences, times, values, counts, kept = _SIZES.unpack_from(prefix)
        ends = _SIZES.size + 2 * _SAVED_COLUMNS * metrics
        columns = np.frombuffer(prefix[_SIZES.size : ends], "<i2").reshape(metrics, _SAVED_COLUMNS).astype(np.int64)
        self.columns = columns[:, 1:]
        self.column = {int(code): column for column, code in enumerate(columns[:, 0])}
        marks = np.frombuffer(prefix[ends : ends + 8 * silences], "<u8")
        at = np.frombuffer(prefix[ends + 8 * silences :], "<i2")
        self.silence_at = dict(zip(marks.tolist(), at.tolist(), strict=True))
        self.fixed = _fixed(times, values, counts)
        self.record = _record(kept)


def _fixed(times: int, values: int, counts: int) -> np.dtype[np.void]:
    return np.dtype([("times", "<i8", (times,)), ("values", "<f4", (values,)), ("counts", "u1", (counts,))])


def _record(kept: int) -> np.dtype[np.void]:
    numbers = [(name, "<i4") for name in ("phase", "device", "base_day")]
    moments = ("due", "first_at", "last_at", "raised_at", "run", "calm_since", "noted_at", "mask")
    times = [(name, "<i8") for name in moments]
    return np.dtype([("rule", "<u8"), *numbers, *times, ("values", "<f4", (kept,))])


def _older(depth: Int64s) -> tuple[Rows, Rows]:
    """Of every place but the newest: of which column it is, and which place of that."""
    of = np.repeat(np.arange(len(depth)), depth - 1)
    return of, np.concatenate([np.arange(1, d) for d in depth] or [np.zeros(0, np.intp)])


def _prefix(resident: int, row: bytes) -> bytes:
    if not row.startswith(_MAGIC):
        raise ValueError(f"the saved row of resident {resident} is not a row of the watch")
    metrics, silences = _SIZES.unpack_from(row)[1:3]
    end = int(_SIZES.size + 2 * _SAVED_COLUMNS * metrics + 10 * silences)
    return row[:end]


def _copy(to: NDArray[Any], at: int, found: NDArray[Any], was: int, size: int, rows: Rows) -> None:
    """Copy ``size`` places, where both have them."""
    if at >= 0 and was >= 0:
        to[rows, at : at + size] = found[:, was : was + size]


def _grown(column: NDArray[Any], size: int, empty: Any) -> NDArray[Any]:
    grown = np.zeros((size, *column.shape[1:]), column.dtype)
    grown[: len(column)] = column
    if empty:
        grown[len(column) :] = empty
    return grown


def fingerprint(rule: Rule) -> int:
    """What a rule judges, as 64 bits: the same as long as its state means the same, whatever its words and sources."""
    levels = [(limit.metric.name, limit.word, limit.level, limit.clear_word, limit.clear_level) for limit in rule.when]
    count = (rule.count.k, rule.count.n, rule.count.within)
    ask = rule.ask and (rule.ask.kind, rule.ask.within)
    missing = rule.missing and (rule.missing.metric.name, rule.missing.within)
    names = [metric.name for metric in (*rule.also, *rule.unless)]
    judged: tuple[object, ...] = (rule.id, levels, count, ask, missing, names, rule.expires)
    # What most rules lack is left out there, so that their state outlives the word's coming into the language.
    related = [(key, part) for key, part in (("confirmed_by", rule.confirmed_by), ("follows", rule.follows)) if part]
    judged += tuple((key, part.metric.name, part.within, [m.name for m in part.unless]) for key, part in related)
    judged += tuple(_more(rule))
    return int.from_bytes(hashlib.sha256(repr(judged).encode()).digest()[:8], "little")


def _more(rule: Rule) -> Iterator[object]:
    """What a rule judges beyond its levels, where it has it."""
    for limit in rule.when:
        if limit.statistic or limit.parameter:
            score = limit.score and (limit.score.parts, limit.score.extras, limit.score.fresh, limit.score.needs)
            yield limit.statistic, repr(score), limit.parameter, limit.clear_by
    for part in rule.requires:
        yield part.metric.name, part.word, part.level, part.within
    lasting = [(key, part.time) for key, part in (("persists", rule.persists), ("clear", rule.clear_after)) if part]
    after = [("after", rule.missing.after.name)] if rule.missing and rule.missing.after else []
    days = [(rule.count.days, rule.count.days_within)] if rule.count.days > 1 else []
    groups = [("groups", rule.groups, rule.not_groups)] if rule.groups or rule.not_groups else []
    yield from (*lasting, *after, *days, *groups)
