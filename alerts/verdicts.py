"""What the rules core has decided, written into the record: alerts, questions to residents, the first calls."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import Counter

from alerts import lifecycle
from alerts.calls import Caller, move, standing
from alerts.deployment import JOINED_UNDER
from alerts.engine import Batch, Engine, Firing
from alerts.lifecycle import Alert
from alerts.policy import PRIORITIES
from alerts.protocol import Protocol
from alerts.rule import JOINED, Rule
from store import alerts, equipment, late_notes, maintenance, residents
from store.alerts import AlertRow, NewAlert, NewEvent
from store.maintenance import Held
from store.postgres import Connection, Unavailable, part
from store.readings import utc

log = structlog.get_logger(__name__)

ALERTS: Final = Counter("hearthwatch_alerts_total", "Alerts raised.", ["rule", "priority"])
NOTES: Final = Counter("hearthwatch_late_notes_total", "Alarms of the past, noted for the doctor.", ["rule"])


async def let_go_of_closed(c: Connection, engine: Engine, batch: Batch) -> None:
    """Before a batch is judged: what a person has closed since is no alarm of the rules core any more.

    Otherwise a pressure that never came down would not be heard again after its first alert was closed. A task about
    days that have passed, such as a mean of a week, waits until the days are others: the next reading would say no more
    than what somebody has just dealt with.
    """
    await _let_go_of_removed(c, engine, batch)
    if raised := engine.raised(batch.resident):
        about = [resident for resident, _ in raised]
        still_open = await alerts.open_rules(c, about) | await maintenance.held_rules(c, about)
        closed = [alarm for alarm in raised if alarm not in still_open]
        engine.close(set(closed) - await _dealt_with(c, engine.protocol, closed, batch))


async def _let_go_of_removed(c: Connection, engine: Engine, batch: Batch) -> None:
    """A fault of a device that has been removed is none any more when another one speaks of the same.

    Otherwise the low battery of a help button would not be heard because a cuff that is gone had a low one.
    """
    told = set(zip(batch.resident.tolist(), batch.metric.tolist(), batch.device.tolist(), strict=True))
    spoken_of = {(resident, metric) for resident, metric, _ in told}
    silent = []
    for resident, name, device in engine.faulty(batch.resident) if told else ():
        rule = engine.protocol.rule(name)
        metric = rule.when[0].metric.code if rule else 0
        if (resident, metric) in spoken_of and (resident, metric, device) not in told:
            silent.append((resident, name, device))
    if silent:
        hers = await equipment.of_residents(c, [device for *_, device in silent])
        engine.close(
            (resident, rule) for resident, rule, device in silent if device > 0 and (device, resident) not in hers
        )


async def _dealt_with(
    c: Connection, protocol: Protocol, closed: Sequence[tuple[int, str]], batch: Batch
) -> set[tuple[int, str]]:
    """Those of these alarms that are tasks about days, closed since less than as many."""
    looks_at = {rule.id: rule.looks_at for rule in protocol.rules if rule.looks_at and not rule.calls}
    of_days = [alarm for alarm in closed if alarm[1] in looks_at]
    if not of_days or batch.received is None:
        return set()
    now, closed_at = utc(batch.received.max()), await alerts.closed_at(c, of_days)
    return {alarm for alarm, at in closed_at.items() if now < at + looks_at[alarm[1]]}


@dataclass(frozen=True, slots=True)
class _Fresh:
    """An alert that is about to be opened, and whether people are called to it."""

    rule: Rule
    row: NewAlert


@dataclass(slots=True)
class Verdicts:
    """Carries out firings at one moment, within the transaction that also moves the watch on.

    Many can come at once: what stands open is read for all together, new alerts are written together, and only those of
    high priority are called about here. The dispatcher calls about the others, so that a storm of them holds up no fall.
    """

    c: Connection
    protocol: Protocol
    now: datetime
    _caller: Caller = field(init=False)
    _open: dict[int, dict[str, AlertRow]] = field(default_factory=dict)
    _asked: set[int] = field(default_factory=set)
    _maintained: set[int] = field(default_factory=set)
    _fresh: dict[tuple[int, str], _Fresh] = field(default_factory=dict)
    _fresh_of: set[int] = field(default_factory=set)
    _due: dict[int, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._caller = Caller(self.c, self.now, self.protocol)

    async def carry_out(self, firings: Iterable[Firing]) -> None:
        """Each in turn, as the rules core gave them."""
        acts = {
            "raise": self._raise,
            "clear": self._clear,
            "ask": self._ask,
            "answered": self._answered,
            "confirmed": self._confirmed,
            "note": self._note,
        }
        said = list(firings)
        if not said:
            return
        about = list(dict.fromkeys(firing.resident for firing in said))
        left = await residents.left(self.c, about, self.now)
        await self._look_up(about)
        for firing in said:
            if firing.resident in left and firing.what in ("raise", "ask", "answered", "note"):
                log.info("not_raised_for_who_has_left", resident=firing.resident, rule=firing.rule)
                continue
            rule = self.protocol.rule(firing.rule)
            assert rule is not None, "the rules core fires only rules of its protocol"
            await acts[firing.what](firing, rule)
        await self._finish()

    async def _look_up(self, about: Sequence[int]) -> None:
        self._open = {resident: {} for resident in about}
        for row in await alerts.open_of_residents(self.c, about):
            self._open[row.resident_id][row.rule] = row
        self._asked |= await alerts.being_asked(self.c, about, self.now)
        self._maintained |= await maintenance.of(self.c, about, self.now)

    async def _finish(self) -> None:
        """Write what is new, and call about what cannot wait."""
        await self._write_fresh()
        if self._due:
            await self._call_now(await alerts.for_update_all(self.c, list(self._due)))
            self._due.clear()

    async def _call_now(self, rows: Sequence[AlertRow]) -> None:
        """Call, or leave it to the dispatcher when that fails: what keeps a call from being made must not undo the alert."""
        try:
            async with part(self.c):
                await self._caller.go_on(rows)
        except Unavailable:
            raise
        except Exception:
            log.exception("calls_left_to_dispatcher", alerts=[row.id for row in rows])
            await alerts.update_many(self.c, {row.id: {"climb_at": self.now} for row in rows})

    async def _open_of(self, resident: int, rule: str) -> AlertRow | None:
        """The open alert of one rule, held for this transaction."""
        if resident in self._fresh_of:
            await self._write_fresh()
        return self._open.setdefault(resident, {}).get(rule)

    async def _locked(self, number: int) -> AlertRow:
        row = await alerts.for_update(self.c, number)
        assert row is not None, "alerts are never deleted"
        self._open.setdefault(row.resident_id, {})[row.rule] = row
        return row

    async def _move(self, row: AlertRow, after: Alert, **also: Any) -> AlertRow:
        await move(self.c, row, after, **also)
        return await self._locked(row.id)

    async def _raise(self, firing: Firing, rule: Rule) -> None:
        happened_at = utc(firing.at)
        evidence = await self._evidence(firing, rule, happened_at)
        if rule.ask and firing.resident in self._asked:
            await alerts.answer_prompts(self.c, firing.resident, rule.ask.kind, "called", self.now)
        if (
            rule.kind == "technical"
            and firing.resident in self._maintained
            and await self._is_held_back(firing.resident, rule, happened_at, evidence)
        ):
            return
        joined = await self._open_of(firing.resident, rule.joins) if rule.joins else None
        if joined is None:
            await self._open_alert(firing.resident, rule, happened_at, evidence)
        else:
            await self._join(joined, rule, evidence)

    async def _is_held_back(self, resident: int, rule: Rule, happened_at: datetime, evidence: dict[str, Any]) -> bool:
        """Somebody works on this equipment: what it says of itself is kept until they are done."""
        device = int(evidence["device"]) if "device" in evidence else None
        if not await maintenance.holds(self.c, resident, device, self.now):
            return False
        await maintenance.hold_back(
            self.c,
            resident_id=resident,
            rule=rule.id,
            protocol=self.protocol.version,
            happened_at=happened_at,
            evidence=evidence,
            now=self.now,
        )
        log.info("held_back_in_maintenance", resident=resident, rule=rule.id)
        return True

    async def raise_held(self, held: Held) -> None:
        """What was held back has not cleared: it is raised now, with what spoke for it then."""
        rule = self.protocol.rule(held.rule)
        if rule is None or await residents.left(self.c, [held.resident_id], self.now):
            log.info("held_back_for_good", resident=held.resident_id, rule=held.rule)
            return
        await self._look_up([held.resident_id])
        await self._open_alert(held.resident_id, rule, held.happened_at, held.evidence)
        await self._finish()

    async def _open_alert(self, resident: int, rule: Rule, happened_at: datetime, evidence: dict[str, Any]) -> None:
        """Open an alert, or raise anew the one that is open, unless another alert says the same already."""
        standing_now = await self._open_of(resident, rule.id)
        if await self._is_said_already(resident, rule):
            log.info("not_raised_beside_its_cause", resident=resident, rule=rule.id)
            return
        if standing_now is not None:
            await self._raise_again(standing_now, rule, happened_at, evidence)
            return
        self._fresh_of.add(resident)
        self._fresh[resident, rule.id] = _Fresh(
            rule,
            NewAlert(
                resident_id=resident,
                rule=rule.id,
                protocol=self.protocol.version,
                priority=rule.priority,
                kind=rule.kind,
                happened_at=happened_at,
                raised_at=self.now,
                evidence=evidence,
            ),
        )

    async def _write_fresh(self) -> None:
        fresh, self._fresh = self._fresh, {}
        self._fresh_of.clear()
        made = await alerts.insert(self.c, [one.row for one in fresh.values()])
        events = []
        for row in made:
            fresh.pop((row.resident_id, row.rule))
            self._open.setdefault(row.resident_id, {})[row.rule] = row
            ALERTS.labels(row.rule, row.priority).inc()
            events.append(NewEvent(row.id, row.resident_id, "raised", self.now, detail=_plainly(row.evidence)))
        await alerts.add_events(self.c, events)
        for (rule, priority), n in Counts((row.rule, row.priority) for row in made).items():
            log.info(
                "alerts_raised",
                rule=rule,
                priority=priority,
                alerts=[row.id for row in made if row.rule == rule][:20],
                n=n,
            )
        await self._call(await self._to_be_called_about(made))
        for one in fresh.values():
            # Somebody else has opened it meanwhile; else this very moment has been raised before, and a person has closed it.
            opened = await alerts.open_of(self.c, one.row.resident_id, one.rule.id)
            if opened is not None:
                await self._raise_again(opened, one.rule, one.row.happened_at, dict(one.row.evidence))

    async def _join(self, row: AlertRow, rule: Rule, evidence: dict[str, Any]) -> None:
        """The same trouble, and worse: one alert, one ladder, which now speaks for ``rule`` and calls at once."""
        await self._trail(row, "worse", evidence)
        joined = {JOINED: rule.id, JOINED_UNDER: self.protocol.version}
        await alerts.set_evidence(self.c, row.id, row.evidence | evidence | joined)
        priority = min(row.priority, rule.priority, key=PRIORITIES.index)
        urged = await self._move(row, lifecycle.urge(standing(row), self.now), priority=priority)
        if rule.calls:
            await self._call([urged])

    async def _confirmed(self, firing: Firing, rule: Rule) -> None:
        """What has been raised already is confirmed: staff read it, nobody is called anew."""
        row = await self._open_of(firing.resident, rule.id)
        if row is not None:
            await self._trail(row, "confirmed", firing.evidence)
            await alerts.set_evidence(self.c, row.id, row.evidence | firing.evidence)
            await self._locked(row.id)

    async def _note(self, firing: Firing, rule: Rule) -> None:
        """It came too late to call anybody: a dated note for the doctor. Of a device it says nothing about anybody."""
        if rule.kind == "technical":
            return
        happened_at = utc(firing.at)
        is_new = await late_notes.add(
            self.c,
            resident_id=firing.resident,
            rule=rule.id,
            protocol=self.protocol.version,
            priority=rule.priority,
            happened_at=happened_at,
            learned_at=self.now,
            evidence=await self._evidence(firing, rule, happened_at),
        )
        if is_new:
            NOTES.labels(rule.id).inc()
            log.info("learned_too_late", resident=firing.resident, rule=rule.id, happened_at=happened_at.isoformat())

    async def _is_said_already(self, resident: int, rule: Rule) -> bool:
        """Whether an open alert names the cause: what follows from it would say the same once more (ISA-18.2)."""
        if not set(rule.cause) & set(self._open.get(resident, ())):
            return False
        missing = rule.missing.metric.code if rule.missing else None
        return await alerts.is_said(self.c, resident, rule.cause, missing)

    async def _to_be_called_about(self, made: Sequence[AlertRow]) -> list[AlertRow]:
        """Those to which people are called: of several about one device the first, unless somebody is called about it already.

        A gateway of twenty homes is one call.
        """
        calling, devices = [], set()
        for row in made:
            rule = self.protocol.rule(row.rule)
            if rule is None or not rule.calls:
                continue
            if rule.on_device:
                device = row.evidence.get("device")
                if (rule.id, device) in devices:
                    continue
                devices.add((rule.id, device))
                if await alerts.is_called_about(self.c, rule.id, device, row.id):
                    continue
            calling.append(row)
        return calling

    async def _call(self, rows: Sequence[AlertRow]) -> None:
        """Let these go on now: the urgent ones at the end of this step, the others when the dispatcher comes to them."""
        self._due |= dict.fromkeys(row.id for row in rows if row.priority == "high")
        others = [row for row in rows if row.priority != "high" and row.climb_at != self.now]
        await alerts.update_many(self.c, {row.id: {"climb_at": self.now} for row in others})
        for row in others:
            self._open[row.resident_id][row.rule] = replace(row, climb_at=self.now)

    async def _raise_again(self, row: AlertRow, rule: Rule, happened_at: datetime, evidence: dict[str, Any]) -> None:
        if row.happened_at == happened_at:
            return
        await self._trail(row, "raised_again", evidence)
        if JOINED in row.evidence:  # what has happened now is new, and speaks for itself
            own = {name: value for name, value in row.evidence.items() if name not in (JOINED, JOINED_UNDER)}
            await alerts.set_evidence(self.c, row.id, own | evidence)
        lately = await alerts.count_events(
            self.c, row.id, ("raised", "raised_again"), self.now - lifecycle.CHATTER_WITHIN
        )
        before = standing(row)
        after = lifecycle.raise_again(before, self.now, raises_lately=lately, is_event=rule.on_event)
        begins = after.waits and after.climb_at != before.climb_at
        if begins and not after.calls_staff and not await self._to_be_called_about([row]):
            after = lifecycle.rest(after)
        moved = await self._move(row, after)
        if after.climb_at == self.now and before.climb_at != self.now:
            await self._call([moved])

    async def _clear(self, firing: Firing, rule: Rule) -> None:
        if rule.kind == "technical":
            await maintenance.let_go(self.c, firing.resident, rule.id)
        row = await self._open_of(firing.resident, rule.id)
        if row is None or row.cleared_at is not None:
            return
        await self._move(row, lifecycle.clear(standing(row), self.now))
        await self._trail(row, "cleared", firing.evidence)

    async def _ask(self, firing: Firing, rule: Rule) -> None:
        if rule.ask is not None and firing.until is not None:
            at, until = utc(firing.at), utc(firing.until)
            self._asked.add(firing.resident)
            await alerts.ask(self.c, firing.resident, rule.id, rule.ask.kind, at, until, protocol=self.protocol.version)

    async def _answered(self, firing: Firing, rule: Rule) -> None:
        if rule.ask is None:
            return
        await alerts.answer_prompts(self.c, firing.resident, rule.ask.kind, "well", self.now, rule.id)
        for other in self.protocol.rules:
            if other.answered and other.answered.rule == rule.id:
                answered_at = utc(firing.at)
                happened_at = await alerts.asked_at(self.c, firing.resident, rule.id, answered_at) or answered_at
                evidence = await self._evidence(firing, rule, happened_at)
                await self._open_alert(firing.resident, other, happened_at, evidence)

    async def _evidence(self, firing: Firing, rule: Rule, happened_at: datetime) -> dict[str, Any]:
        evidence = {name: _plain(value) for name, value in firing.evidence.items()}
        if not rule.on_event:
            return evidence
        metrics = [rule.when[0].metric.code] + ([rule.confirmed_by.metric.code] if rule.confirmed_by else [])
        return await alerts.event_detail(self.c, firing.resident, metrics, happened_at) | evidence

    async def _trail(self, row: AlertRow, kind: str, detail: Mapping[str, Any]) -> None:
        await alerts.add_event(self.c, row.id, row.resident_id, kind, at=self.now, detail=_plainly(detail))


def _plainly(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in detail.items()}


def _plain(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(value)
