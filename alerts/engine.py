"""The rules core: columns of state, ``step(batch, now) -> firings``, and nothing else. Pure: no clock, no I/O.

Two times, never confused. *Measured* time is when a reading happened (``Batch.at``); what is counted together, what
is newer, and how long a silence lasted, are judged by it. *Received* time is when the service had it
(``Batch.received``); how old a reading is, and how long a question has waited, are judged by that. ``now`` says only
that everything received up to then has been given.

- A **measurement** is what one device says of one resident at one measured time. It is over as soon as one of its
  values is; it is not over only when all the rule's metrics have come.
- A reading older than its rule's ``expires`` when received is not judged. A late one (older than the newest
  measurement judged) takes its place among those counted, but only the newest measurement asks, answers or clears,
  and nothing is raised unless the newest is over itself.
- An event can be about one that began its episode (``Rule.confirmed_by``, ``Rule.follows``): the newest of those before
  it, if not too long before. What its ``unless`` names takes it back also when it came before it, since that one.
- A question stands until its measurement was received plus ``ask.within``; a silence until the newest measured
  time plus ``missing.within``. A timer runs out before any reading received later than it, and at the end of a
  step whose ``now`` is later. While a question stands, all since the measurement that caused it is counted.

So the firings of a resident and rule depend on the readings, their order and their received times, and not on how
the stream is cut into batches, nor on how residents are interleaved. (Only where a cut divides one measurement does
the evidence name no more than what had come.) ``tests/alerts/reference.py`` says the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from alerts.measurements import Batch, Bools, Floats, Int64s, Part, Rows, microseconds, parts
from alerts.parameters import Parameters
from alerts.protocol import Protocol
from alerts.rule import Rule, evidence_name
from alerts.state import ACTIVE, ASKING, CALM, LONG_AGO, NEVER, Columns

__all__ = ["Batch", "Engine", "Firing", "What"]

What = Literal["raise", "clear", "ask", "answered", "confirmed"]

_US: Final = np.timedelta64(1, "us")


@dataclass(frozen=True, slots=True)
class Firing:
    """What a rule has to say about one resident.

    ``at`` is when it happened: the measured time of the measurement that speaks for it, or for a silence the
    moment it had lasted too long. ``until`` is when an ``ask`` times out. ``evidence`` holds, by metric, the values
    of that measurement (an event's under ``probability``, in a rule that counts those of the first that was over
    under ``first_...`` and how many were over under ``count``; of a rule on a device also ``device``; once a
    confirmation has come its value as ``confirmed``); for a silence it holds its length in ``hours`` and ``days``.
    ``confirmed`` says that the confirmation of what has been raised already has come.
    """

    resident: int
    rule: str
    what: What
    at: np.datetime64
    until: np.datetime64 | None
    evidence: dict[str, float | str]


class Engine:
    """The state of every resident under one protocol."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._p = Parameters(protocol)
        self._state = Columns(protocol, self._p.metrics, self._p.look_back, self._p.kept)
        self._earliest = NEVER
        self._unstarted: list[Rows] = []

    def enrol(self, residents: Iterable[int], now: np.datetime64) -> None:
        """Know these residents from ``now`` on, so that their silence is noticed. Known ones stay as they are.

        A resident who sends a reading is enrolled by it.
        """
        ids = np.array(list(dict.fromkeys(residents)), np.int32)
        new = ids[self._state.row_of(ids) < 0]
        self._enrol(new, np.full(len(new), _us(now)))

    def step(self, batch: Batch, now: np.datetime64) -> list[Firing]:
        """Judge a batch, then let the timers run that are due before ``now``.

        ``received`` must not decrease from row to row and batch to batch, nor be later than ``now``. Each resident
        and rule's firings come in their order; between residents there is none.
        """
        out = _Firings(self.protocol.rules, self._p, self._state)
        self._start_clocks(_us(now))
        for part in self._parts(batch, _us(now)):
            self._judge(part, out)
        self._run_timers(_us(now), out)
        return out.firings

    def wake_at(self) -> np.datetime64 | None:
        """When to step again even if nothing arrives: no timer runs out before. ``None``: no timer is running."""
        return None if self._earliest == NEVER else _time(self._earliest) + _US

    def raised(self, residents: NDArray[np.int32]) -> list[tuple[int, str]]:
        """The alarms on these residents' own values that stand, as (resident, rule)."""
        p, s = self._p, self._state
        rows = s.row_of(np.unique(residents))
        rows = rows[rows >= 0]
        on_value = np.flatnonzero(~p.event & ~p.on_device & (p.silence_us == 0))
        phase = s.phase[rows[:, None] * s.rules + on_value]
        return [
            (int(s.resident[rows[i]]), self.protocol.rules[on_value[j]].id)
            for i, j in np.argwhere(phase == ACTIVE).tolist()
        ]

    def close(self, alarms: Iterable[tuple[int, str]]) -> None:
        """A person has closed these (resident, rule): what is measured from now on is judged anew, calm or not.

        Resetting an alarm whose condition goes on does not silence it for good (IEC 60601-1-8).
        """
        s = self._state
        number = {rule.id: i for i, rule in enumerate(self.protocol.rules)}
        for resident, rule in alarms:
            row = s.row_of(np.array([resident], np.int32))
            self._settle(row * s.rules + number[rule], CALM)
            s.dirty[row] = True

    def ask_again(self, questions: Iterable[tuple[int, str, np.datetime64, np.datetime64]]) -> None:
        """Take up what is being asked, as (resident, rule, ``at``, ``until``), where the rows do not know of it.

        A rule that has come to judge otherwise begins anew, and whoever does not answer it is called about all the same.
        """
        s = self._state
        number = {rule.id: i for i, rule in enumerate(self.protocol.rules)}
        for resident, rule, at, until in questions:
            row = s.row_of(np.array([resident], np.int32))
            cell = row * s.rules + number.get(rule, 0)
            if row[0] >= 0 and rule in number and s.phase[cell] == CALM:
                s.first_at[cell] = s.last_at[cell] = _us(at)
                self._settle(cell, ASKING, np.array([_us(until)]))
                s.dirty[row] = True

    def dirty_rows(self) -> dict[int, bytes]:
        """The rows that changed since the last call, by resident."""
        return self._state.save()

    def load_rows(self, rows: Mapping[int, bytes]) -> None:
        """Take up rows as :meth:`dirty_rows` gave them, also those of another protocol.

        Where a rule judges the same as before its state goes on; a rule that is new or judges otherwise begins
        anew, its silence counted from the newest reading or, without one, the next step. A row that is none of
        the watch's raises :exc:`ValueError`.
        """
        incomplete = self._state.load(rows)
        self._unstarted.append(self._state.row_of(incomplete))
        self._earliest = self._next_due()

    def _enrol(self, residents: NDArray[np.int32], since: Int64s) -> None:
        if len(residents):
            self._start_silence(self._state.add(residents), since)

    def _start_silence(self, rows: Rows, since: Int64s) -> None:
        p, s = self._p, self._state
        for rule in p.silences:
            cells = rows * s.rules + rule
            idle = (s.phase[cells] == CALM) & (s.due[cells] == NEVER)
            newest = s.value_at[rows, p.silent[rule]]
            begin = np.where(newest == LONG_AGO, since, newest)
            self._set_due(cells[idle], (begin + p.silence_us[rule])[idle])

    def _start_clocks(self, now: int) -> None:
        for rows in self._unstarted:
            self._start_silence(rows, np.full(len(rows), now))
        self._unstarted.clear()

    def _set_due(self, cells: Rows, due: Int64s) -> None:
        self._state.due[cells] = due
        self._earliest = min(self._earliest, int(due.min(initial=NEVER)))

    def _next_due(self) -> int:
        return int(self._state.due[: self._state.count * self._state.rules].min(initial=NEVER))

    def _parts(self, batch: Batch, now: int) -> Iterator[Part]:
        received = np.full(len(batch), now) if batch.received is None else microseconds(batch.received)
        self._enrol_by_reading(batch.resident, received)
        column = self._p.column_of(batch.metric)
        for part in parts(batch, self._state.row_of(batch.resident), column, received, len(self._p.metrics)):
            self._state.dirty[part.row] = True
            yield part

    def _enrol_by_reading(self, residents: NDArray[np.int32], received: Int64s) -> None:
        unknown = np.flatnonzero(self._state.row_of(residents) < 0)
        if len(unknown):
            ids, first = np.unique(residents[unknown], return_index=True)
            self._enrol(ids, received[unknown[first]])

    def _judge(self, part: Part, out: _Firings) -> None:
        p, s = self._p, self._state
        present = ~np.isnan(part.values[:, :-1])
        newer = np.zeros(part.values.shape, np.bool_)
        newer[:, :-1] = present & (part.at[:, None] >= s.value_at[part.row, :-1])
        measurement, metric = np.nonzero(newer)
        s.value[part.row[measurement], metric] = part.values[measurement, metric]
        s.value_at[part.row[measurement], metric] = part.at[measurement]
        for heard_by, judge in (
            (p.taken_back_by, self._take_back),
            (p.silent_without, self._hear),
            (p.judging, self._measure),
            (p.confirmed_by, self._confirm),
        ):
            if heard_by.any():
                which, rule = np.nonzero(present.astype(np.float32) @ heard_by)
                if len(which):
                    judge(_Cells(part, which, rule, s.rules), out)

    def _take_back(self, c: _Cells, out: _Firings) -> None:
        """The event came that takes the rule's own event back."""
        s = self._state
        self._time_out(c.cell[s.due[c.cell] < c.received], out)
        c = c.where((s.phase[c.cell] != CALM) & (c.at >= s.last_at[c.cell]))
        phase = s.phase[c.cell]
        asking, active = phase == ASKING, phase == ACTIVE
        out.add("answered", c.cell[asking], c.at[asking], s.last[c.cell[asking]])
        out.add("clear", c.cell[active], c.at[active], s.last[c.cell[active]])
        s.phase[c.cell], s.due[c.cell] = CALM, NEVER

    def _confirm(self, c: _Cells, out: _Firings) -> None:
        """The event came that confirms the rule's own: nothing is waited for any more, and what never came is made up."""
        p, s = self._p, self._state
        self._time_out(c.cell[s.due[c.cell] < c.received], out)
        c = c.where((c.at >= c.received - p.expires_us[c.rule]) & ~self._is_taken_back(c))
        value = c.values(p.confirm[c.rule][:, None])[:, 0]
        phase, last_at = s.phase[c.cell], s.last_at[c.cell]
        joined = (phase == ACTIVE) & (self._began(c) <= last_at)
        asked = (phase == ASKING) & (last_at <= c.at)
        alone = ~joined & (phase != ASKING)
        self._keep_confirmation(c.cell[alone], c.at[alone], value[alone])
        raised = asked | alone
        self._settle(c.cell[raised], ACTIVE)
        out.add_over("raise", c.cell[raised], np.ones(raised.sum(), np.int64), confirmed=value[raised])
        out.add_confirmed(c.cell[joined], c.at[joined], value[joined])

    def _keep_confirmation(self, cell: Rows, at: Int64s, value: Floats) -> None:
        s = self._state
        s.first_at[cell] = s.last_at[cell] = at
        s.first[cell] = s.last[cell] = np.nan
        s.first[cell, 0] = s.last[cell, 0] = value

    def _hear(self, c: _Cells, out: _Firings) -> None:
        """The metric whose silence the rule watches has spoken."""
        p, s = self._p, self._state
        self._time_out(c.cell[s.due[c.cell] < c.received], out)
        due = c.at + p.silence_us[c.rule]
        calm = s.phase[c.cell] == CALM
        self._set_due(c.cell[calm], np.maximum(s.due[c.cell], due)[calm])
        ended = ~calm & (due >= c.received)
        s.phase[c.cell[ended]] = CALM
        self._set_due(c.cell[ended], due[ended])
        out.add("clear", c.cell[ended], c.at[ended])

    def _measure(self, c: _Cells, out: _Firings) -> None:
        """A measurement came for a rule on levels or events."""
        p, s = self._p, self._state
        self._time_out(c.cell[s.due[c.cell] < c.received], out)
        c = self._of_this_device(c.where(c.at >= c.received - p.expires_us[c.rule]))
        if not len(c.cell):
            return
        over = self._over(c)
        self._remember(c, over)
        loud = self._loud(c, over)
        if loud.any():
            self._decide(c.where(loud), over[loud], out)

    def _decide(self, c: _Cells, over: Bools, out: _Firings) -> None:
        """Raise, ask, answer or clear, by the measurement that has just found its place."""
        p, s = self._p, self._state
        values = self._values(c)
        since, count = self._counted(c.cell, c.rule)
        phase = s.phase[c.cell]
        # Each event is an episode of its own, also while the alert of the one before it stands.
        phase[p.event[c.rule] & (phase == ACTIVE) & over & (c.at > s.last_at[c.cell])] = CALM
        first = over & (c.at >= since) & ((count == 1) | (c.at < s.first_at[c.cell]))
        self._keep_values(c, values, first, over & (c.at > s.last_at[c.cell]))
        is_newest, newest_over = c.at == s.ring_at[c.cell, 0], s.ring_over[c.cell, 0]
        enough = over & newest_over & (count >= p.k[c.rule])
        raised = enough & (phase != ACTIVE)
        asked = over & is_newest & ~enough & (phase == CALM) & (p.ask_us[c.rule] > 0)
        settled = is_newest & ~newest_over & ~p.event[c.rule]
        known, calm = self._known_and_calm(c.rule, values)
        answered = settled & known & (phase == ASKING)
        cleared = settled & calm & (phase == ACTIVE)
        until = c.received + p.ask_us[c.rule]
        self._settle(c.cell[raised], ACTIVE)
        self._settle(c.cell[asked], ASKING, until[asked])
        self._settle(c.cell[answered | cleared], CALM)
        out.add_over("raise", c.cell[raised], count[raised])
        out.add_over("ask", c.cell[asked], count[asked], until[asked])
        out.add("answered", c.cell[answered], c.at[answered], values[answered])
        out.add("clear", c.cell[cleared], c.at[cleared], values[cleared])

    def _known_and_calm(self, rule: Rows, values: Floats) -> tuple[Bools, Bools]:
        """Whether all that the rule judges has come, and whether all of it is back behind its clear level."""
        p = self._p
        unjudged = ~p.judged[rule]
        known: Bools = np.all(unjudged | ~np.isnan(values), axis=1)
        calm: Bools = np.all(unjudged | (p.sign[rule] * values <= p.clear_from[rule]), axis=1)
        return known, calm

    def _loud(self, c: _Cells, over: Bools) -> Bools:
        """Where anything can change: hardly anywhere, for most measurements are calm after calm ones."""
        s = self._state
        kept: Bools = (c.at == s.first_at[c.cell]) | (c.at == s.last_at[c.cell])
        begun: Bools = s.phase[c.cell] != CALM
        return over | kept | begun

    def _settle(self, cells: Rows, phase: int, due: Int64s | None = None) -> None:
        self._state.phase[cells] = phase
        self._set_due(cells, np.full(len(cells), NEVER) if due is None else due)

    def _of_this_device(self, c: _Cells) -> _Cells:
        """For a rule on the devices themselves: while one is at fault the others are not heard.

        Otherwise a full battery beside an empty one would clear its alarm, again and again.
        """
        s = self._state
        other = self._p.on_device[c.rule] & (s.device[c.cell] != c.device)
        c, other = c.where(~other | (s.phase[c.cell] != ACTIVE)), other[~other | (s.phase[c.cell] != ACTIVE)]
        s.ring_at[c.cell[other]], s.ring_over[c.cell[other]] = LONG_AGO, False
        s.last_at[c.cell[other]] = LONG_AGO
        s.device[c.cell] = c.device
        return c

    def _values(self, c: _Cells) -> Floats:
        """The values of the measurement, with those of it that came before; shape ``(cells, kept)``."""
        s, column = self._state, self._p.column[c.rule]
        row = c.row[:, None]
        newest = s.value_at[row, column] == c.at[:, None]
        return np.where(newest, s.value[row, column], c.values(column))

    def _over(self, c: _Cells) -> Bools:
        p = self._p
        excess = p.sign[c.rule] * c.values(p.column[c.rule])
        over: Bools = np.any((excess >= p.over_from[c.rule]) & p.judged[c.rule], axis=1)
        return over & ~self._is_taken_back(c)

    def _is_taken_back(self, c: _Cells) -> Bools:
        """Whether an event has come that takes this one back."""
        p, at = self._p, self._state.value_at
        since: Bools = at[c.row[:, None], p.unless[c.rule]].max(1) >= c.at
        if not p.has_episode[c.rule].any():
            return since
        since_it_began: Bools = at[c.row[:, None], p.unless_since_it_began[c.rule]].max(1) >= self._began(c)
        return since | since_it_began

    def _began(self, c: _Cells) -> Int64s:
        """When the episode began to which an event belongs; with itself, where nothing came before it."""
        p = self._p
        before = self._state.value_at[c.row, p.began[c.rule]]
        return np.where((before <= c.at) & (before >= c.at - p.began_us[c.rule]), before, c.at)

    def _remember(self, c: _Cells, over: Bools) -> None:
        """Put the measurement into its place among the newest."""
        s = self._state
        new = c.at > s.ring_at[c.cell, 0]
        cell = c.cell[new]
        s.ring_at[cell, 1:], s.ring_over[cell, 1:] = s.ring_at[cell, :-1], s.ring_over[cell, :-1]
        s.ring_at[cell, 0], s.ring_over[cell, 0] = c.at[new], over[new]
        if not new.all():
            self._remember_late(c.cell[~new], c.at[~new], over[~new])

    def _remember_late(self, cell: Rows, at: Int64s, over: Bools) -> None:
        s = self._state
        known = s.ring_at[cell] == at[:, None]
        s.ring_over[cell] |= known & over[:, None]
        missed = ~known.any(1)
        cell = cell[missed]
        ring_at = np.column_stack((s.ring_at[cell], at[missed]))
        ring_over = np.column_stack((s.ring_over[cell], over[missed]))
        order = np.argsort(-ring_at, axis=1, kind="stable")[:, :-1]
        s.ring_at[cell] = np.take_along_axis(ring_at, order, 1)
        s.ring_over[cell] = np.take_along_axis(ring_over, order, 1)

    def _counted(self, cell: Rows, rule: Rows) -> tuple[Int64s, Int64s]:
        """From when on measurements count together, and how many of them were over."""
        p, s = self._p, self._state
        ring_at = s.ring_at[cell]
        since = ring_at[:, 0] - p.within_us[rule]
        since = np.where(s.phase[cell] == ASKING, np.minimum(since, s.first_at[cell]), since)
        looked_at = (ring_at >= since[:, None]) & p.looked_at[rule]
        return since, (looked_at & s.ring_over[cell]).sum(1)

    def _keep_values(self, c: _Cells, values: Floats, first: Bools, last: Bools) -> None:
        """Keep the values of the first and the newest measurement that was over; one that is kept is completed."""
        s = self._state
        for kept, kept_at, anew in ((s.first, s.first_at, first), (s.last, s.last_at, last)):
            same = c.at == kept_at[c.cell]
            take = anew | same
            cell, found = c.cell[take], values[take]
            kept[cell] = np.where(np.isnan(found) & same[take, None], kept[cell], found)
            kept_at[cell] = c.at[take]

    def _run_timers(self, now: int, out: _Firings) -> None:
        if self._earliest < now:
            due = self._state.due[: self._state.count * self._state.rules]
            late = np.flatnonzero(due < now)
            self._time_out(late[np.argsort(due[late], kind="stable")], out)
            self._earliest = self._next_due()

    def _time_out(self, cells: Rows, out: _Firings) -> None:
        """These timers ran out: no answer came, or no reading."""
        if not len(cells):
            return
        s = self._state
        rule = cells % s.rules
        silent = self._p.silence_us[rule] > 0
        out.add_silence(cells[silent], s.due[cells[silent]])
        asked = cells[~silent]
        out.add_over("raise", asked, self._counted(asked, rule[~silent])[1])
        s.phase[cells], s.due[cells] = ACTIVE, NEVER
        s.dirty[cells // s.rules] = True


class _Cells:
    """The cells a part concerns: measurement ``which`` meets rule ``rule``; columns of shape ``(cells,)``."""

    __slots__ = ("_part", "_which", "at", "cell", "device", "received", "row", "rule")

    def __init__(self, part: Part, which: Rows, rule: Rows, rules: int) -> None:
        self._part, self._which, self.rule = part, which, rule
        self.row, self.at = part.row[which], part.at[which]
        self.received, self.device = part.received[which], part.device[which]
        self.cell = self.row * rules + rule

    def where(self, mask: Bools) -> _Cells:
        if mask.all():
            return self
        kept = object.__new__(_Cells)
        kept._part, kept._which, kept.rule = self._part, self._which[mask], self.rule[mask]
        kept.row, kept.at, kept.cell = self.row[mask], self.at[mask], self.cell[mask]
        kept.received, kept.device = self.received[mask], self.device[mask]
        return kept

    def values(self, column: Rows) -> Floats:
        return self._part.values[self._which[:, None], column]


class _Firings:
    """Firings as they come; the values are copied at once, for the state goes on."""

    def __init__(self, rules: tuple[Rule, ...], parameters: Parameters, state: Columns) -> None:
        self.firings: list[Firing] = []
        self._rules, self._p, self._state = rules, parameters, state

    def add(self, what: What, cells: Rows, at: Int64s, values: Floats | None = None) -> None:
        """The end of an episode, with the values that ended it."""
        for i, cell in enumerate(cells):
            self._add(what, cell, at[i], NEVER, {} if values is None else self._named(cell, values[i], ""))

    def add_over(
        self, what: What, cells: Rows, count: Int64s, until: Int64s | None = None, confirmed: Floats | None = None
    ) -> None:
        """What speaks for raising or asking: the first and the newest measurement that were over."""
        s = self._state
        for i, cell in enumerate(cells):
            evidence = self._named(cell, s.last[cell], "")
            if s.first_at[cell] != s.last_at[cell] and count[i] > 1:
                evidence |= self._named(cell, s.first[cell], "first_")
            evidence["count"] = float(count[i])
            if self._p.on_device[cell % s.rules]:
                evidence["device"] = float(s.device[cell])
            if confirmed is not None:
                evidence["confirmed"] = float(confirmed[i])
            self._add(what, cell, s.last_at[cell], NEVER if until is None else until[i], evidence)

    def add_confirmed(self, cells: Rows, at: Int64s, value: Floats) -> None:
        """The confirmation of what has been raised already."""
        for i, cell in enumerate(cells):
            self._add("confirmed", cell, at[i], NEVER, {"confirmed": float(value[i])})

    def add_silence(self, cells: Rows, at: Int64s) -> None:
        """A silence that has lasted too long."""
        for i, cell in enumerate(cells):
            hours = float(self._p.silence_us[cell % self._state.rules]) / 3.6e9
            self._add("raise", cell, at[i], NEVER, {"hours": hours, "days": hours / 24})

    def _named(self, cell: np.intp, values: Floats, prefix: str) -> dict[str, float | str]:
        measured = self._rules[cell % self._state.rules].measured
        pairs = zip(measured, values.tolist(), strict=False)
        return {prefix + evidence_name(metric): value for metric, value in pairs if value == value}

    def _add(
        self, what: What, cell: np.intp, at: np.int64, until: int | np.int64, evidence: dict[str, float | str]
    ) -> None:
        row, rule = divmod(int(cell), self._state.rules)
        until_time = None if until == NEVER else _time(until)
        self.firings.append(
            Firing(int(self._state.resident[row]), self._rules[rule].id, what, _time(at), until_time, evidence)
        )


def _us(time: np.datetime64) -> int:
    return int(time.astype("datetime64[us]").astype(np.int64))


def _time(us: int | np.int64) -> np.datetime64:
    return np.datetime64(int(us), "us")
