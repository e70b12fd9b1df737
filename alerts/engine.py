"""The rules core: a row of state per resident, ``step(batch, now) -> firings``, and nothing else. Pure: no clock, no I/O.

Two times, never confused. *Measured* time is when a reading happened (``Batch.at``); what is counted together, what
is newer, and how long a silence lasted, are judged by it. *Received* time is when the service had it
(``Batch.received``); how old a reading is, and how long a question has waited, are judged by that. ``now`` says only
that everything received up to then has been given. Live and replay are this one function.

The firings of a resident and rule depend on her readings, their order and their received times, and not on how the
stream is cut into batches, nor on how residents are interleaved, nor on whether the state was saved and taken up between.
(A cut that divides one measurement is the exception: ``docs/rules.md`` says what it can change.) What each word of the
language means stands there too, the loop over the readings in :mod:`alerts.kernel`, and the same in slow, obvious
Python in ``tests/alerts/reference``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts import kernel
from alerts.kernel import ACTIVE, ASKING, CALM, LONG_AGO, NEVER, Readings
from alerts.measurements import Batch, Int64s, Rows, microseconds
from alerts.parameters import Parameters
from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.protocol import load as shipped
from alerts.state import Memory
from devices.readings import Quality

__all__ = ["Bare", "Batch", "Engine", "Firing", "What"]

What = Literal["raise", "clear", "ask", "answered", "confirmed", "note"]

_WHAT: Final[tuple[What, ...]] = ("raise", "clear", "ask", "answered", "confirmed", "note")
_US: Final = np.timedelta64(1, "us")
_FIRINGS: Final = 256


@dataclass(frozen=True, slots=True)
class Firing:
    """What a rule has to say about one resident.

    ``at`` is when it happened: the measured time of the measurement that speaks for it, or for a silence the
    moment it had lasted too long. ``until`` is when an ``ask`` times out. ``evidence`` holds, by metric, the values
    of that measurement (an event's under ``probability``, in a rule that counts those of the first that was over
    under ``first_...`` and how many were over under ``count``; of a statistic what :func:`alerts.rule.statistic_names`
    names; of a rule on a device also ``device``; once a confirmation has come its value as ``confirmed``); for a
    silence it holds its length in ``hours`` and ``days``. A ``confirmed`` says that the confirmation of what has been
    raised already has come, a ``note`` that there was an alarm in the past that nobody could know of.
    """

    resident: int
    rule: str
    what: What
    at: np.datetime64
    until: np.datetime64 | None
    evidence: dict[str, float | str]


class Bare(NamedTuple):
    """A firing as numbers, without its evidence: the rule by its place in the protocol, ``what`` as in :mod:`alerts.kernel`,
    times in microseconds. ``until`` is ``NEVER`` and ``counted`` -1 where there is none."""

    resident: int
    rule: int
    what: int
    at: int
    until: int
    counted: int
    confirmed: bool


_Columns = tuple[NDArray[np.int64], NDArray[np.float32]]


class Engine:
    """The state of every resident under one protocol."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._p = Parameters(protocol)
        self._known = {Profile(): 0}
        self._room = 5 * len(protocol.rules) + 2
        self._memory = Memory(self._p, self._p.profiles(list(self._known)), max(_FIRINGS, 2 * self._room))
        self._profile_of: dict[int, int] = {}
        self._number = {rule.id: number for number, rule in enumerate(protocol.rules)}
        self._told: list[_Columns] = []
        self._last: Int64s = np.zeros(0, np.int64)
        self._unstarted: list[tuple[Rows, NDArray[np.bool_]]] = []

    def enrol(self, residents: Iterable[int], now: np.datetime64) -> None:
        """Know these residents from ``now`` on, so that their silence is noticed. Known ones stay as they are.

        A resident who sends a reading is enrolled by it.
        """
        ids = np.array(list(dict.fromkeys(residents)), np.int32)
        new = ids[self._memory.row_of(ids) < 0]
        self._add(new, np.full(len(new), _us(now)))

    def _add(self, residents: NDArray[np.int32], since: Int64s) -> None:
        if len(residents):
            self._memory.add(residents, since)
            if self._profile_of:
                self._set_profiles(residents)

    def assign(self, profiles: Mapping[int, Profile]) -> None:
        """Judge these residents by these profiles from now on; others by what they were judged by, at first ``Profile()``.

        What stood of a rule that no longer concerns her is forgotten without a firing. A resident whom the core does not
        know yet has hers from her enrolment on. Profiles are not part of the saved rows.
        """
        new = {one for one in profiles.values() if one not in self._known}
        for one in new:
            self._known[one] = len(self._known)
        if new:
            self._memory.profiles = self._p.profiles(list(self._known))
        self._profile_of |= {resident: self._known[one] for resident, one in profiles.items()}
        self._set_profiles(np.fromiter(profiles, np.int32, len(profiles)))

    def _set_profiles(self, residents: NDArray[np.int32]) -> None:
        """Let the rows of these residents, where they have one, bear their profiles."""
        m = self._memory
        residents = residents[m.row_of(residents) >= 0]
        rows = m.row_of(residents)
        numbers = np.array([self._profile_of.get(resident, 0) for resident in residents.tolist()], np.int64)
        changed = np.flatnonzero(m.rows.numbers[rows, kernel.PROFILE] != numbers)
        m.rows.numbers[rows[changed], kernel.PROFILE] = numbers[changed]
        for row in rows[changed].tolist():
            self._forget_what_concerns_her_no_longer(row)
        m.hasten(rows[changed], np.full(len(changed), LONG_AGO))

    def _forget_what_concerns_her_no_longer(self, row: int) -> None:
        m = self._memory
        concerns = m.profiles.concerns[m.rows.numbers[row, kernel.PROFILE]]
        for record in list(m.records(row)):
            if not concerns[m.pool.links[record, kernel.RULE]]:
                kernel.give_back(self._memory.core, record)
                m.rows.dirty[row] = True

    def step(self, batch: Batch, now: np.datetime64) -> list[Firing]:
        """Judge a batch, then let the timers run that are due before ``now``.

        ``received`` must not decrease from row to row and batch to batch, nor be later than ``now``. Each resident
        and rule's firings come in their order; between residents there is none.
        """
        self._step(batch, now)
        return self._firings()

    def step_barely(self, batch: Batch, now: np.datetime64) -> list[Bare]:
        """The same as :meth:`step`, but of the firings only what costs next to nothing: for replaying years."""
        self._step(batch, now)
        told, self._told = self._told, []
        return [one for columns in told for one in self._bare(*columns)]

    def _step(self, batch: Batch, now: np.datetime64) -> None:
        self._start_clocks(_us(now))
        if len(batch):
            self._judge(batch, _us(now))
        while not kernel.run_all_timers(self._memory.core, self._memory.count, _us(now), self._room):
            self._make_room()
        self._collect()

    def _judge(self, batch: Batch, now: int) -> None:
        received = np.full(len(batch), now) if batch.received is None else microseconds(batch.received)
        self._enrol_by_reading(batch.resident, received)
        readings = self._readings(batch, received)
        order = self._order(readings)
        begin = 0
        while begin < len(order):
            self._make_room()
            begin = kernel.step(self._memory.core, readings, order, begin, self._room)

    def _readings(self, batch: Batch, received: Int64s) -> Readings:
        column = self._p.column_of(batch.metric)
        heard = slice(None) if column.min() >= 0 else np.flatnonzero(column >= 0)
        return Readings(
            row=np.ascontiguousarray(self._memory.row_of(batch.resident[heard]), np.int64),
            column=np.ascontiguousarray(column[heard], np.int64),
            at=np.ascontiguousarray(microseconds(batch.at[heard])),
            received=np.ascontiguousarray(received[heard]),
            device=np.ascontiguousarray(batch.device[heard], np.int64),
            value=np.ascontiguousarray(batch.value[heard], np.float32),
            irregular=np.ascontiguousarray(batch.quality[heard] & int(Quality.IRREGULAR_PULSE) != 0),
        )

    def _order(self, readings: Readings) -> Int64s:
        """As they came; by resident only where another resident's readings divide a measurement."""
        if len(self._last) < self._memory.count:
            self._last = np.zeros(len(self._memory.resident), np.int64)
        if kernel.is_interleaved(readings, self._last):
            return np.argsort(readings.row, kind="stable")
        return np.arange(len(readings.row))

    def _make_room(self) -> None:
        self._collect()
        self._memory.make_room(2 * self._room)

    def _enrol_by_reading(self, residents: NDArray[np.int32], received: Int64s) -> None:
        unknown = np.flatnonzero(self._memory.row_of(residents) < 0)
        if len(unknown):
            ids, first = np.unique(residents[unknown], return_index=True)
            self._add(ids, received[unknown[first]])

    def _start_clocks(self, now: int) -> None:
        """Silences of which a saved row did not know begin now."""
        m = self._memory
        for rows, missing in self._unstarted:
            at, silence = np.nonzero(missing)
            m.rows.times[rows[at], self._p.tables.rules[m.silences[silence], kernel.R_SILENCE_AT]] = now
        self._unstarted.clear()

    def wake_at(self) -> np.datetime64 | None:
        """When to step again even if nothing arrives: no timer runs out before. ``None``: no timer is running."""
        if self._unstarted:
            return _time(0)
        due = kernel.next_due(self._memory.core, self._memory.count)
        return None if due == NEVER else _time(due) + _US

    def raised(self, residents: NDArray[np.int32]) -> list[tuple[int, str]]:
        """The alarms on these residents' own values that stand, as (resident, rule)."""
        on_value = (kernel.LEVEL, kernel.STATISTIC)
        return [(resident, rule) for resident, rule, kind, _ in self._standing(residents) if kind in on_value]

    def faulty(self, residents: NDArray[np.int32]) -> list[tuple[int, str, int]]:
        """The alarms on these residents' devices that stand, as (resident, rule, device)."""
        standing = self._standing(residents)
        return [(resident, rule, device) for resident, rule, kind, device in standing if kind == kernel.DEVICE]

    def _standing(self, residents: NDArray[np.int32]) -> Iterator[tuple[int, str, int, int]]:
        """The alarms that stand, as (resident, rule, kind, device)."""
        m = self._memory
        rows = m.row_of(np.unique(residents))
        rows = rows[rows >= 0]
        for row in rows[m.rows.numbers[rows, kernel.HEAD] >= 0].tolist():
            for record in m.records(row):
                rule, phase, device = m.pool.links[record, [kernel.RULE, kernel.PHASE, kernel.BY_DEVICE]].tolist()
                if phase == ACTIVE:
                    kind = int(self._p.tables.rules[rule, kernel.R_KIND])
                    yield int(m.resident[row]), self.protocol.rules[rule].id, kind, device

    def close(self, alarms: Iterable[tuple[int, str]]) -> None:
        """A person has closed these (resident, rule): what is measured from now on is judged anew, calm or not.

        Resetting an alarm whose condition goes on does not silence it for good (IEC 60601-1-8). A silence that goes on is
        the same one, and is not raised again before the metric has been heard.
        """
        m = self._memory
        closed = [(resident, self._number[rule]) for resident, rule in alarms]
        residents, rules = np.array(closed, np.int64).reshape(-1, 2).T
        rows = m.row_of(residents.astype(np.int32))
        ends = np.array([rule.missing is None for rule in self.protocol.rules], np.bool_)[rules] & (rows >= 0)
        kernel.close(m.core, np.ascontiguousarray(rows[ends], np.int64), np.ascontiguousarray(rules[ends]))

    def ask_again(self, questions: Iterable[tuple[int, str, np.datetime64, np.datetime64]]) -> None:
        """Take up what is being asked, as (resident, rule, ``at``, ``until``), where the rows do not know of it.

        A rule that has come to judge otherwise begins anew, and whoever does not answer it is called about all the same.
        """
        m, number = self._memory, self._number
        for resident, rule, at, until in questions:
            row = int(m.row_of(np.array([resident], np.int32))[0])
            if row < 0 or rule not in number:
                continue
            record = int(kernel.find(self._memory.core, row, number[rule]))
            if record < 0:
                m.make_room(1)
                record = int(kernel.take(self._memory.core, row, number[rule]))
            if m.pool.links[record, kernel.PHASE] == CALM:
                m.pool.stands[record, [kernel.FIRST_AT, kernel.LAST_AT]] = _us(at)
                kernel.settle(self._memory.core, record, ASKING, _us(until))
                m.rows.dirty[row] = True

    def call_about_what_is_asked_by(self, rules: Collection[str]) -> list[Firing]:
        """Raise at once what these rules are asking: nobody is going to wait for the answer any more."""
        m = self._memory
        for record in np.flatnonzero(m.pool.links[: m.pool.pool[kernel.USED], kernel.PHASE] == ASKING).tolist():
            row, number = m.pool.links[record, [kernel.ROW, kernel.RULE]].tolist()
            rule = self.protocol.rules[number]
            if row >= 0 and rule.id in rules and rule.missing is None:
                self._make_room()
                kernel.raise_kept(self._memory.core, int(m.rows.numbers[row, kernel.PROFILE]), record)
                m.rows.dirty[row] = True
        self._collect()
        return self._firings()

    def dirty_rows(self) -> dict[int, bytes]:
        """The rows that changed since the last call, by resident."""
        return self._memory.save()

    def load_rows(self, rows: Mapping[int, bytes]) -> None:
        """Take up rows as :meth:`dirty_rows` gave them, also those of another protocol.

        Where a rule judges the same as before its state goes on; a rule that is new or judges otherwise begins
        anew, its silence counted from the newest reading or, without one, the next step. A row that is none of
        the watch's raises :exc:`ValueError`.
        """
        found, missing = self._memory.load(rows)
        self._set_profiles(np.fromiter(rows, np.int32, len(rows)))
        if missing.any():
            self._unstarted.append((found, missing))

    def use_every_call(self) -> None:
        """Call what of the loop is called by itself, on a record that is gone afterwards. Somebody must be known."""
        core = self._memory.core
        for let_go in (kernel.give_back, kernel.forget_if_idle):
            record = kernel.take(core, 0, 0)
            kernel.settle(core, kernel.find(core, 0, 0), CALM, NEVER)
            let_go(core, record)
        kernel.close(core, np.zeros(1, np.int64), np.zeros(1, np.int64))
        kernel.part_of_day(core, 0, 0)

    @property
    def bytes_each(self) -> float:
        """Bytes of state in memory per resident, what stands included."""
        return self._memory.bytes_each()

    def _collect(self) -> None:
        """Take the firings out of the columns in which the loop leaves them."""
        out = self._memory.told
        count = int(out.told_count[0])
        if count:
            self._told.append((out.told[:count].copy(), out.told_values[:count].copy()))
            out.told_count[0] = 0

    def _firings(self) -> list[Firing]:
        told, self._told = self._told, []
        return [firing for numbers, values in told for firing in map(self._firing, numbers.tolist(), values)]

    def _bare(self, numbers: NDArray[np.int64], values: NDArray[np.float32]) -> Iterator[Bare]:
        confirmation = values[:, kernel.CONFIRMATION]
        residents = self._memory.resident[numbers[:, kernel.F_ROW]]
        columns = numbers[:, kernel.F_RULE : kernel.F_COUNT + 1].T.tolist()
        return map(Bare, residents.tolist(), *columns, (confirmation == confirmation).tolist())

    def _firing(self, ints: list[int], values: NDArray[np.float32]) -> Firing:
        row, number, what, at, until, count, device = ints
        rule = self.protocol.rules[number]
        if rule.missing:
            hours = float(self._p.tables.rules[number, kernel.R_SILENCE]) / kernel.HOUR_US
            evidence: dict[str, float | str] = {"hours": hours, "days": hours / 24} if what == kernel.RAISE else {}
        else:
            kept = len(values) // 2
            evidence = self._named(number, values[:kept], "") | self._named(number, values[kept:-1], "first_")
            if any(name.startswith("usual_") for name in evidence):
                evidence["part_of_day"] = self._part_of_day(row, at)
            if count >= 0:
                evidence["count"] = float(count)
            if rule.on_device and count >= 0:  # a gateway bears a number below zero
                evidence["device"] = float(device)
            if values[kernel.CONFIRMATION] == values[kernel.CONFIRMATION]:
                evidence["confirmed"] = _decimal(values[kernel.CONFIRMATION])
        return Firing(
            int(self._memory.resident[row]),
            rule.id,
            _WHAT[what],
            _time(at),
            None if until == NEVER else _time(until),
            evidence,
        )

    def _named(self, rule: int, values: NDArray[np.float32], prefix: str) -> dict[str, float | str]:
        return {
            prefix + name: _decimal(value)
            for name, value in zip(self._p.names[rule], values, strict=False)
            if name is not None and value == value
        }

    def _part_of_day(self, row: int, at: int) -> float:
        profile = int(self._memory.rows.numbers[row, kernel.PROFILE])
        return float(kernel.part_of_day(self._memory.core, profile, at))


def compile_ahead() -> None:
    """Have the machine code of the loop made, or taken from disk, before anything waits for it.

    The first time after an installation or an upgrade this takes the better part of a minute, later a second.
    """
    engine = Engine(shipped())
    nobody, systolic = np.zeros(1, np.int32), np.ones(1, np.int16)
    engine.step(Batch(nobody, systolic, np.zeros(1, "datetime64[us]"), np.full(1, 120.0), nobody, nobody), _time(0))
    engine.wake_at()
    engine.use_every_call()


def _decimal(value: np.float32) -> float:
    """The shortest decimal that is this value, as it was measured."""
    return float(str(value))


def _us(time: np.datetime64) -> int:
    return int(time.astype("datetime64[us]").astype(np.int64))


def _time(us: int) -> np.datetime64:
    return np.datetime64(int(us), "us")
