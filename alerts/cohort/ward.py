"""Runs a protocol over made-up residents as a service with people behind it would: questions are answered, alerts closed.

Staff are taken to see every alert at once, and to close it a day later, a task a week later. Nothing they do changes what befalls a
resident: an illness that is seen on its first day goes on as it would have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort.cohort import ZONE, Chunk, Labels, Plan
from alerts.engine import Engine, Firing
from alerts.escalation import EVENING, MORNING
from alerts.lifecycle import CHATTER_RAISES, CHATTER_WITHIN
from alerts.measurements import Batch
from alerts.profiles import Profile
from alerts.profiles import profile as profile_of
from alerts.protocol import Protocol
from alerts.rule import Rule
from devices.readings import METRICS_BY_CODE, Kind

LOOKS_EVERY: Final = np.timedelta64(5, "m")
"""How often the rules core is asked, beside the moments at which an event or its timer is due."""
CLOSED_AFTER: Final = np.timedelta64(24, "h")
"""When a person closes an alert about which somebody was called. Assumed: on the next day."""
DONE_AFTER: Final = np.timedelta64(7, "D")
"""When a person is through with a task. Assumed: within a week."""
_ANSWER_WITHIN: Final = np.timedelta64(40, "m")
_AHEAD: Final = np.timedelta64(8, "h")
_DAY: Final = np.timedelta64(24, "h")
_SECOND: Final = np.timedelta64(1, "s")
_SIZE: Final = 2000
_EVENTS: Final = np.array(
    [METRICS_BY_CODE[c].kind is Kind.EVENT if c in METRICS_BY_CODE else False for c in range(128)]
)


@dataclass(frozen=True, slots=True)
class Raised:
    """A rule raised: ``opens`` a new alert, or speaks in one that is open. ``messages`` is 1 if somebody is called."""

    resident: int
    rule: str
    at: np.datetime64
    opens: bool
    messages: int
    at_night: bool


@dataclass(slots=True)
class _Open:
    """An alert that stands: when it was opened, when it has raised, and whether a call waits for the morning."""

    since: np.datetime64
    raises: list[np.datetime64]
    waits_for_morning: bool = False


@dataclass(frozen=True, slots=True)
class Ward:
    """Several chunks as one: everything of these residents."""

    residents: NDArray[np.int32]
    groups: Mapping[int, frozenset[str]]
    ages: Mapping[int, int]
    batch: Batch
    fault: NDArray[np.int8]
    answers: Batch
    labels: Labels


def wards(chunks: Iterable[Chunk], size: int = _SIZE) -> Iterator[Ward]:
    """The chunks joined into wards of about ``size`` residents."""
    held: list[Chunk] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(len(one.residents) for one in held) >= size:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def profiles(protocol: Protocol, groups: Mapping[int, frozenset[str]], ages: Mapping[int, int]) -> dict[int, Profile]:
    """By what each resident is judged: her groups, as far as the protocol knows them, and no values of her own."""
    like = {resident: (held, ages[resident]) for resident, held in groups.items()}
    made = {(held, age): profile_of(protocol, ZONE, held, {}, {}, age=age) for held, age in set(like.values())}
    return {resident: made[one] for resident, one in like.items()}


@dataclass(slots=True)
class Run:
    """One protocol over one ward."""

    protocol: Protocol
    plan: Plan
    ward: Ward
    raised: list[Raised] = field(default_factory=list)
    notes: int = 0
    asked: int = 0
    _engine: Engine = field(init=False)
    _open: dict[tuple[int, str], _Open] = field(default_factory=dict)
    _said: set[tuple[int, str, int]] = field(default_factory=set)
    _in_order: dict[bool, deque[tuple[np.datetime64, tuple[int, str]]]] = field(
        default_factory=lambda: {True: deque(), False: deque()}
    )
    _mornings: deque[tuple[np.datetime64, tuple[int, str]]] = field(default_factory=deque)
    _waiting: list[tuple[np.datetime64, Batch]] = field(default_factory=list)
    _answers: _Answers = field(init=False)

    def __post_init__(self) -> None:
        self._engine = Engine(self.protocol)
        self._answers = _Answers(self.ward.answers)

    def run(self) -> Run:
        """Everything from the first day to the last."""
        batch, engine = self.ward.batch, self._engine
        assert batch.received is not None, "a cohort says when each reading was received"
        engine.enrol(self.ward.residents.tolist(), self.plan.start)
        engine.assign(profiles(self.protocol, self.ward.groups, self.ward.ages))
        moments = cuts(self.protocol, self.plan, batch)
        ends = np.searchsorted(batch.received, moments, side="right").tolist()
        begin = 0
        for now, end in zip(moments, ends, strict=True):
            part = self._with_answers(batch[begin:end], now)
            begin = end
            self._close(now)
            self._call_in_the_morning(now)
            wakes = engine.wake_at()
            if len(part) or (wakes is not None and wakes <= now):
                self._hear(engine.step(part, now), now)
        return self

    def _hear(self, firings: Iterable[Firing], now: np.datetime64) -> None:
        asking: dict[tuple[int, str], np.datetime64] = {}
        for firing in firings:
            rule = self.protocol.rule(firing.rule)
            assert rule is not None, "the rules core fires only rules of its protocol"
            key = (firing.resident, firing.rule)
            asking.pop(key, None)
            if firing.what == "raise":
                self._raise(firing.resident, rule, firing.at, now)
            elif firing.what == "ask":
                self.asked += 1
                asking[key] = firing.at
            elif firing.what == "answered":
                self._answer(firing.resident, rule, firing.at, now)
            elif firing.what == "clear" and key in self._open:
                self._open[key].waits_for_morning = False
            elif firing.what == "note":
                self.notes += 1
        for (resident, name), at in asking.items():
            self._repeat(resident, name, at, now)

    def _raise(self, resident: int, rule: Rule, at: np.datetime64, now: np.datetime64) -> None:
        """Open an alert, or speak in an open one, unless it or another says the same already.

        What happened at one moment is raised once: a silence that goes on after its alert was closed is no new one.
        """
        moment = (resident, rule.id, int(at.astype(np.int64)))
        if moment in self._said:
            return
        self._said.add(moment)
        joined = (resident, rule.joins) if rule.joins else None
        if joined in self._open:
            self._note(resident, rule, now, opens=False, calls=rule.calls)
            return
        if any((resident, cause) in self._open for cause in rule.cause):
            return
        standing = self._open.get((resident, rule.id))
        if standing is None:
            self._open[resident, rule.id] = _Open(now, [now])
            self._in_order[rule.calls].append((now, (resident, rule.id)))
            self._note(resident, rule, now, opens=True, calls=rule.calls)
            return
        standing.raises.append(now)
        lately = sum(bool(now - at <= np.timedelta64(CHATTER_WITHIN)) for at in standing.raises)
        self._note(resident, rule, now, opens=False, calls=rule.calls and (rule.on_event or lately < CHATTER_RAISES))

    def _note(self, resident: int, rule: Rule, now: np.datetime64, *, opens: bool, calls: bool) -> None:
        """Write down that a rule raised; who may not be called at night is called in the morning, if it stands then."""
        night = _is_night(now)
        if calls and night and not rule.calls_at_night:
            if (standing := self._open.get((resident, rule.id))) is not None:
                standing.waits_for_morning = True
                self._mornings.append((_morning_after(now), (resident, rule.id)))
            calls = False
        self.raised.append(Raised(resident, rule.id, now, opens, int(calls), night))

    def _call_in_the_morning(self, now: np.datetime64) -> None:
        while self._mornings and self._mornings[0][0] <= now:
            _, key = self._mornings.popleft()
            standing = self._open.get(key)
            if standing is not None and standing.waits_for_morning:
                standing.waits_for_morning = False
                self.raised.append(Raised(*key, now, False, 1, False))

    def _answer(self, resident: int, rule: Rule, at: np.datetime64, now: np.datetime64) -> None:
        for other in self.protocol.rules:
            if other.answered and other.answered.rule == rule.id:
                self._raise(resident, other, at, now)

    def _close(self, now: np.datetime64) -> None:
        """Close what has stood long enough."""
        done = []
        for calls, stands in ((True, CLOSED_AFTER), (False, DONE_AFTER)):
            waiting = self._in_order[calls]
            while waiting and now - waiting[0][0] >= stands:
                _, key = waiting.popleft()
                del self._open[key]
                done.append(key)
        if done:
            self._engine.close(done)

    def _repeat(self, resident: int, rule_id: str, at: np.datetime64, now: np.datetime64) -> None:
        """She measures again, if she is one who does."""
        rule = self.protocol.rule(rule_id)
        assert rule is not None, "it has just asked"
        if rule.ask is None or rule.ask.kind != "repeat_measurement":
            return
        found = self._answers.take(resident, rule, at)
        if found is not None:
            self._waiting.append((max(found.received[-1], now + _SECOND), found))  # type: ignore[index]

    def _with_answers(self, part: Batch, now: np.datetime64) -> Batch:
        """What arrived, and the answers that are due by now, in order of arrival."""
        due = [(at, answer) for at, answer in self._waiting if at <= now]
        if not due:
            return part
        self._waiting = [(at, answer) for at, answer in self._waiting if at > now]
        parts = [part, *(_received(answer, at) for at, answer in due)]
        whole = _together(parts)
        assert whole.received is not None, "each part says when it was received"
        return whole[np.argsort(whole.received, kind="stable")]


class _Answers:
    """The measurements that come only if she is asked."""

    def __init__(self, answers: Batch) -> None:
        order = np.lexsort((answers.device, answers.at, answers.resident))
        self._all = answers[order]
        self._start = {int(r): i for r, i in zip(*np.unique(self._all.resident, return_index=True), strict=True)}
        self._taken: set[tuple[int, int]] = set()

    def take(self, resident: int, rule: Rule, at: np.datetime64) -> Batch | None:
        """Her next measurement of what the rule judges, once."""
        whole, first = self._all, self._start.get(resident)
        if first is None:
            return None
        last = int(np.searchsorted(whole.resident, resident, side="right"))
        begin = first + int(np.searchsorted(whole.at[first:last], at, side="right"))
        codes = [metric.code for metric in rule.measured if metric not in rule.also]
        soon = whole.at[begin:last] <= at + _ANSWER_WITHIN
        fit = np.flatnonzero(soon & np.isin(whole.metric[begin:last], codes))
        if not len(fit):
            return None
        one = begin + int(fit[0])
        key = (int(whole.device[one]), int(whole.at[one].astype(np.int64)))
        if key in self._taken:
            return None
        self._taken.add(key)
        same = (whole.at[begin:last] == whole.at[one]) & (whole.device[begin:last] == whole.device[one])
        return whole[begin + np.flatnonzero(same)]


def cuts(protocol: Protocol, plan: Plan, batch: Batch) -> NDArray[np.datetime64]:
    """The moments at which the rules core is asked: at regular times, at events, and when their timers run out."""
    assert batch.received is not None, "a cohort says when each reading was received"
    regular = np.arange(plan.start + LOOKS_EVERY, plan.end + _SECOND, LOOKS_EVERY)
    came = batch.received[_EVENTS[batch.metric]]
    waits = {timedelta(0)}
    for rule in protocol.rules:
        if rule.on_event and rule.ask:
            waits.add(rule.ask.within)
        if rule.missing and rule.missing.after:
            waits.add(rule.missing.within)
    due = [came + np.timedelta64(wait) + _SECOND for wait in waits]
    return np.unique(np.concatenate([regular, *due]))


def _is_night(now: np.datetime64) -> bool:
    hour = ((now + _AHEAD) - (now + _AHEAD).astype("datetime64[D]")) / np.timedelta64(1, "h")
    return bool(hour >= EVENING.hour or hour < MORNING.hour)


def _morning_after(now: np.datetime64) -> np.datetime64:
    local = now + _AHEAD
    midnight = local.astype("datetime64[D]").astype("datetime64[us]")
    morning = midnight + np.timedelta64(MORNING.hour, "h")
    return np.datetime64((morning if local < morning else morning + _DAY) - _AHEAD)


def _received(batch: Batch, at: np.datetime64) -> Batch:
    columns = (batch.resident, batch.metric, batch.at, batch.value, batch.quality, batch.device)
    return Batch(*columns, np.full(len(batch), at, "datetime64[us]"))


def _together(parts: Iterable[Batch]) -> Batch:
    every = list(parts)
    names = ("resident", "metric", "at", "value", "quality", "device", "received")
    return Batch(*(np.concatenate([getattr(one, name) for one in every]) for name in names))


def _joined(chunks: list[Chunk]) -> Ward:
    batch = _together(chunk.batch for chunk in chunks)
    assert batch.received is not None, "a cohort says when each reading was received"
    order = np.argsort(batch.received, kind="stable")
    names = ("resident", "kind", "onset", "peak", "end")
    return Ward(
        np.concatenate([chunk.residents for chunk in chunks]),
        {resident: groups for chunk in chunks for resident, groups in chunk.groups.items()},
        {resident: age for chunk in chunks for resident, age in chunk.ages.items()},
        batch[order],
        np.concatenate([chunk.fault for chunk in chunks])[order],
        _together(chunk.answers for chunk in chunks),
        Labels(*(np.concatenate([getattr(chunk.labels, name) for chunk in chunks]) for name in names)),
    )
