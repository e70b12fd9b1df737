"""What a protocol would have done with a part of the record: the rules core itself, and a small model of people. Pure.

The firings are those of :meth:`alerts.engine.Engine.step_barely`, given the readings as they were received. What becomes of
them is counted as the watch would have written it down (:mod:`alerts.verdicts`): one open alert of a rule, nothing
beside its ``cause``, what ``joins`` has no alert of its own, nothing about who has left. How long an alert stays open
is known of those that were in fact raised; of all others it is assumed (:class:`Assumed`). A call counts as answered at
once by the first who is called, so the ladder is never climbed.

What has been closed is let go of at the beginning of each step, so a step should not be long (:data:`STEP`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import groupby, pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alerts import kernel
from alerts.engine import Bare, Batch, Engine
from alerts.escalation import morning_after
from alerts.lifecycle import CHATTER_RAISES, CHATTER_WITHIN
from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.rule import Rule

STEP: Final = timedelta(hours=6)
"""So much of the record is judged at once."""
NEVER: Final = 1 << 61
"""Later than any time, in microseconds."""

_US: Final = timedelta(microseconds=1)
_STEP: Final = np.timedelta64(STEP)


@dataclass(frozen=True, slots=True)
class Assumed:
    """When somebody closes an alert of which the record knows nothing.

    ``after_clear`` after it was over, or after an event; ``at_most`` after it was raised last, where it is never over,
    and ``task_at_most`` where it calls nobody.
    """

    after_clear: timedelta = timedelta(hours=12)
    at_most: timedelta = timedelta(hours=72)
    task_at_most: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Given:
    """An alert taken from the record as it was, for what made it is not kept there. Times in microseconds."""

    resident: int
    rule: str
    raised: int
    closed: int
    called: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What the record knows, in microseconds since 1970; :data:`NEVER` for what has not happened yet.

    ``closed``: when each alert was, by resident, rule and the moment it was about. ``left``: when a resident left.
    """

    closed: Mapping[tuple[int, str, int], int] = field(default_factory=dict)
    given: Sequence[Given] = ()
    left: Mapping[int, int] = field(default_factory=dict)

    def of(self, residents: Container[int]) -> Past:
        """What is known of these residents."""
        return Past(
            {key: closed for key, closed in self.closed.items() if key[0] in residents},
            [given for given in self.given if given.resident in residents],
            {resident: left for resident, left in self.left.items() if resident in residents},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Things that happened: columns of shape ``(n,)``.

    ``rule`` is the rule's place in its protocol, ``at`` the moment in microseconds since 1970.
    """

    resident: NDArray[np.int32]
    rule: NDArray[np.int16]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, int]]) -> Marks:
        """From (resident, rule, at)."""
        columns = np.array(found, np.int64).reshape(-1, 3)
        return cls(columns[:, 0].astype(np.int32), columns[:, 1].astype(np.int16), columns[:, 2])

    @classmethod
    def joined(cls, parts: Iterable[Marks]) -> Marks:
        """Several as one."""
        every = [cls.of(()), *parts]
        return cls(*(np.concatenate([getattr(part, name) for part in every]) for name in cls.__slots__))

    def where(self, rows: NDArray[np.bool_]) -> Marks:
        """Only these."""
        return Marks(self.resident[rows], self.rule[rows], self.at[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What one protocol would have done.

    Alerts ``raised`` and messages that would have ``called`` somebody, questions ``asked`` of residents, and late
    readings ``noted`` for the doctor.
    """

    raised: Marks
    called: Marks
    asked: Marks
    noted: Marks

    @classmethod
    def joined(cls, parts: Sequence[Told]) -> Told:
        """What was told of several sets of residents."""
        return cls(*(Marks.joined(getattr(part, name) for part in parts) for name in cls.__slots__))

    def within(self, since: int, until: int) -> Told:
        """What of it lies in ``since <= at < until``, in microseconds."""
        marks = (getattr(self, name) for name in self.__slots__)
        return Told(*(m.where((m.at >= since) & (m.at < until)) for m in marks))


class Replay:
    """One protocol at work on a part of the record, in the record's own time."""

    def __init__(
        self, protocol: Protocol, profiles: Mapping[int, Profile], past: Past, assumed: Assumed | None = None
    ) -> None:
        self._rules = [_Rule.of(rule) for rule in protocol.rules]
        self._number = {rule.id: number for number, rule in enumerate(protocol.rules)}
        self._engine = Engine(protocol)
        self._profiles = profiles
        self._ledger = _Ledger(protocol, profiles, past, assumed or Assumed())
        self._given = sorted((given for given in past.given if given.rule in self._number), key=lambda g: -g.raised)
        self._asked: dict[tuple[int, int], int] = {}
        self._standing: defaultdict[int, set[str]] = defaultdict(set)
        self._begun = 0

    def run(
        self, received: Batch, span: tuple[np.datetime64, np.datetime64], enrolled: Mapping[int, np.datetime64]
    ) -> Told:
        """Everything these residents' devices sent in a span of time, step by step, and what was told.

        ``received`` must lie within the span. Who is enrolled before it begins is watched from its beginning.
        """
        assert received.received is not None, "a replay needs to know when a reading was received"
        begin, end = span
        ends = np.append(np.arange(begin + _STEP, end, _STEP), end)
        last = np.searchsorted(received.received, ends, side="right")
        begun = sorted((max(at, begin), resident) for resident, at in enrolled.items())
        come = [(at, [resident for _, resident in those]) for at, those in groupby(begun, key=lambda one: one[0])][::-1]
        for now, rows in zip(ends, pairwise([0, *last.tolist()]), strict=True):
            while come and come[-1][0] <= now:
                at, residents = come.pop()
                self.enrol(residents, at)
            self.step(received[slice(*rows)], now)
        return self.told()

    def enrol(self, residents: Sequence[int], now: np.datetime64) -> None:
        """Watch these residents from now on."""
        self._engine.enrol(residents, now)
        self._engine.assign({one: self._profiles[one] for one in residents if one in self._profiles})

    def step(self, batch: Batch, now: np.datetime64) -> None:
        """Judge what was received up to now; ``batch.received`` is needed and must not decrease, here and between steps."""
        self._let_go()
        firings = self._engine.step_barely(batch, now)
        until = _us(now.astype("datetime64[us]"))
        if firings or (self._given and self._given[-1].raised <= until):
            self._carry_out(firings, _Heard(batch, firings), until)
        self._begun = until

    def told(self) -> Told:
        """Everything so far."""
        return self._ledger.told(self._begun)

    def _let_go(self) -> None:
        """What has been closed is no alarm of the rules core any more (:func:`alerts.verdicts.let_go_of_closed`)."""
        gone = [
            (resident, rule)
            for resident in self._ledger.where_something_closed(self._begun)
            for rule in self._standing[resident]
            if not self._ledger.stands(resident, rule, self._begun)
        ]
        if gone:
            self._engine.close(gone)
        for resident, rule in gone:
            self._standing[resident].discard(rule)

    def _carry_out(self, firings: Sequence[Bare], heard: _Heard, until: int) -> None:
        """In order of when each was known, whichever rule it came from."""
        latest: dict[tuple[int, int], int] = {}
        happened: list[tuple[int, int, Bare | Given]] = []
        for order, firing in enumerate(firings):
            key = firing.resident, firing.rule
            known = max(self._known_at(firing, heard, until), latest.get(key, self._begun))
            latest[key] = known
            happened.append((known, order, firing))
        while self._given and self._given[-1].raised <= until:
            given = self._given.pop()
            happened.append((given.raised, -1, given))
        for known, _, what in sorted(happened, key=lambda h: h[:2]):
            self._act(known, what)

    def _act(self, known: int, what: Bare | Given) -> None:
        if isinstance(what, Given):
            self._ledger.open_as_given(what, self._number[what.rule])
            return
        ledger, resident, number, did = self._ledger, what.resident, what.rule, what.what
        rule = self._rules[number]
        if did == kernel.RAISE:
            ledger.raised(known, resident, number, what.at)
            if rule.is_on_values:
                self._standing[resident].add(rule.id)
                ledger.look_again(resident, rule.id, known)
        elif did == kernel.CLEAR:
            ledger.cleared(known, resident, rule.id)
            self._standing[resident].discard(rule.id)
        elif did == kernel.ASK:
            ledger.asked.append((resident, number, known))
        elif did == kernel.ANSWERED:
            ledger.answered(known, resident, rule.id, what.at)
        elif did == kernel.NOTE:
            ledger.noted.append((resident, number, known))

    def _known_at(self, firing: Bare, heard: _Heard, until: int) -> int:
        """When the service knew: a silence or a question by its own timer, all else with the reading that says it."""
        rule, at, key = self._rules[firing.rule], firing.at, (firing.resident, firing.rule)
        if firing.what == kernel.ASK:
            self._asked[key] = firing.until
            return firing.until - rule.ask
        asked = self._asked.pop(key, None) if firing.what in (kernel.RAISE, kernel.ANSWERED) else None
        if firing.what == kernel.RAISE:
            if rule.is_silence:
                return min(at, until)
            if asked is not None and rule.has_run_out(firing):
                return min(asked, until)
        return heard.received(firing.resident, at, min(max(at, self._begun), until))


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is asked about a rule at each of its firings. ``ask`` in microseconds."""

    id: str
    ask: int
    k: int
    is_silence: bool
    is_on_event: bool
    is_on_values: bool

    @classmethod
    def of(cls, rule: Rule) -> _Rule:
        ask = rule.ask.within // _US if rule.ask else 0
        on_values = bool(rule.when) and not rule.on_event and not rule.on_device
        return cls(rule.id, ask, rule.count.k, rule.missing is not None, rule.on_event, on_values)

    def has_run_out(self, firing: Bare) -> bool:
        """Whether it was raised because nobody had answered."""
        return not firing.confirmed and (self.is_on_event or firing.counted < self.k)


class _Heard:
    """When the measurements of which a step's firings speak were received."""

    def __init__(self, batch: Batch, firings: Sequence[Bare]) -> None:
        self._received: dict[tuple[int, int], int] = {}
        if batch.received is None or not firings or not len(batch):
            return
        wanted = np.unique(np.array([firing.at for firing in firings], np.int64))
        at = batch.at.astype("datetime64[us]").astype(np.int64)
        place = np.minimum(np.searchsorted(wanted, at), len(wanted) - 1)
        rows = np.flatnonzero(wanted[place] == at)
        received = batch.received[rows].astype("datetime64[us]").astype(np.int64)
        self._received = dict(
            zip(zip(batch.resident[rows].tolist(), at[rows].tolist(), strict=True), received.tolist(), strict=True)
        )

    def received(self, resident: int, at: int, otherwise: int) -> int:
        return self._received.get((resident, at), otherwise)


@dataclass(slots=True)
class _Open:
    """An alert that is open. ``morning`` is when a call that waits for the morning is due."""

    closes: int
    by_record: bool
    raises: list[int]
    is_over: bool = False
    morning: int | None = None


class _Ledger:
    """The alerts as the watch would have written them down."""

    def __init__(self, protocol: Protocol, profiles: Mapping[int, Profile], past: Past, assumed: Assumed) -> None:
        self._rules = protocol.rules
        self._number = {rule.id: number for number, rule in enumerate(protocol.rules)}
        self._causes = {rule.id: rule.cause for rule in protocol.rules if rule.cause}
        self._on_event = [rule.on_event for rule in protocol.rules]
        self._answers = {
            rule.id: [n for n, other in enumerate(protocol.rules) if other.answered and other.answered.rule == rule.id]
            for rule in protocol.rules
        }
        self._profiles, self._past = profiles, past
        self._after_clear, self._at_most = assumed.after_clear // _US, assumed.at_most // _US
        self._task_at_most = assumed.task_at_most // _US
        self._chatter = CHATTER_WITHIN // _US
        self._open: dict[tuple[int, str], _Open] = {}
        self._closings: list[tuple[int, int]] = []
        self._about: set[tuple[int, int, int]] = set()
        self._raised: list[tuple[int, int, int]] = []
        self._called: list[tuple[int, int, int]] = []
        self.asked: list[tuple[int, int, int]] = []
        self.noted: list[tuple[int, int, int]] = []

    def where_something_closed(self, moment: int) -> set[int]:
        """The residents of whom an alert has been closed by now, or of whom what was raised last made none."""
        found = set()
        while self._closings and self._closings[0][0] <= moment:
            found.add(heappop(self._closings)[1])
        return found

    def look_again(self, resident: int, rule: str, moment: int) -> None:
        """Remember, in the next step, what was raised and neither has an alert nor is said by another."""
        if not self.stands(resident, rule, moment):
            heappush(self._closings, (moment, resident))

    def stands(self, resident: int, rule: str, moment: int) -> bool:
        """Whether there is an open alert of it, or one that says the same: to raise it anew would change nothing."""
        return self._opened(resident, rule, moment) is not None or self._is_said(resident, rule, moment)

    def _is_said(self, resident: int, rule: str, moment: int) -> bool:
        for cause in self._causes.get(rule, ()):
            if (resident, cause) in self._open and self._opened(resident, cause, moment) is not None:
                return True
        return False

    def raised(self, moment: int, resident: int, number: int, at: int) -> None:
        rule = self._rules[number]
        worse = self._opened(resident, rule.joins, moment) if rule.joins else None
        if worse is None:
            self._open_or_raise_again(moment, resident, number, at)
        elif not self._has_left(resident, moment):
            worse.is_over = False
            self._keep_open(worse, resident, number, moment)
            self._call(worse, resident, number, moment)

    def cleared(self, moment: int, resident: int, rule: str) -> None:
        alert = self._opened(resident, rule, moment)
        if alert is None or alert.is_over:
            return
        alert.is_over = True
        if not alert.by_record:
            self._close_at(alert, resident, min(alert.closes, moment + self._after_clear))
        if alert.morning is not None and moment < alert.morning:
            alert.morning = None

    def answered(self, moment: int, resident: int, rule: str, at: int) -> None:
        for number in self._answers[rule]:
            self._open_or_raise_again(moment, resident, number, at)

    def open_as_given(self, given: Given, number: int) -> None:
        alert = self._open[given.resident, given.rule] = _Open(given.closed, True, [given.raised])
        self._close_at(alert, given.resident, given.closed)
        self._raised.append((given.resident, number, given.raised))
        if given.called:
            self._called.append((given.resident, number, given.raised))

    def told(self, now: int) -> Told:
        for (resident, rule), alert in self._open.items():
            self._call_in_the_morning(alert, resident, rule, min(alert.closes, now))
        return Told(Marks.of(self._raised), Marks.of(self._called), Marks.of(self.asked), Marks.of(self.noted))

    def _open_or_raise_again(self, moment: int, resident: int, number: int, at: int) -> None:
        rule = self._rules[number]
        if self._has_left(resident, moment) or self._is_said(resident, rule.id, moment):
            return
        if (resident, number, at) in self._about:
            return
        self._about.add((resident, number, at))
        alert = self._opened(resident, rule.id, moment)
        if alert is None:
            closed = self._past.closed.get((resident, rule.id, at))
            if closed is not None and closed <= moment:
                closed = None  # it was about the same moment, and raised sooner than now
            alert = _Open(NEVER if closed is None else closed, closed is not None, [])
            self._open[resident, rule.id] = alert
            self._close_at(alert, resident, alert.closes)
            self._raised.append((resident, number, moment))
        self._keep_open(alert, resident, number, moment)
        alert.is_over = False
        alert.raises = [*(before for before in alert.raises if before > moment - self._chatter), moment]
        if self._on_event[number] or len(alert.raises) < CHATTER_RAISES:
            self._call(alert, resident, number, moment)

    def _close_at(self, alert: _Open, resident: int, moment: int) -> None:
        alert.closes = moment
        if moment < NEVER:
            heappush(self._closings, (moment, resident))

    def _keep_open(self, alert: _Open, resident: int, number: int, moment: int) -> None:
        if not alert.by_record:
            rule = self._rules[number]
            passes = self._on_event[number] or rule.answered is not None
            longest = self._at_most if rule.calls else self._task_at_most
            self._close_at(alert, resident, moment + (self._after_clear if passes else longest))

    def _opened(self, resident: int, rule: str, moment: int) -> _Open | None:
        alert = self._open.get((resident, rule))
        if alert is None or moment < alert.closes:
            return alert
        self._call_in_the_morning(alert, resident, rule, alert.closes)
        del self._open[resident, rule]
        return None

    def _call(self, alert: _Open, resident: int, number: int, moment: int) -> None:
        rule = self._rules[number]
        if not rule.calls:
            return
        morning = None if rule.calls_at_night else self._morning_after(resident, moment)
        if morning is None:
            self._called.append((resident, number, moment))
        else:
            alert.morning = morning

    def _call_in_the_morning(self, alert: _Open, resident: int, rule: str, until: int) -> None:
        if alert.morning is not None and alert.morning <= until:
            self._called.append((resident, self._number[rule], alert.morning))
        alert.morning = None

    def _morning_after(self, resident: int, moment: int) -> int | None:
        zone = self._profiles[resident].zone if resident in self._profiles else "UTC"
        morning = morning_after(datetime.fromtimestamp(moment / 1e6, UTC), ZoneInfo(zone))
        return None if morning is None else round(morning.timestamp() * 1e6)

    def _has_left(self, resident: int, moment: int) -> bool:
        return moment >= self._past.left.get(resident, NEVER)


def _us(moment: np.datetime64) -> int:
    """A moment that counts microseconds, as a number of them."""
    return int(moment.view(np.int64))
