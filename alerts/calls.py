"""Calling people to alerts: whom the policy names next, by the ways each prefers, in the words of her language.

Everything happens in the caller's transaction. An alert's row is always locked before its messages are touched, so
that a taking and a climb have one order. Alerts that go on at the same moment go on together: what is the same for all
is looked up once, and what is written is written in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from prometheus_client import Counter

from alerts import deployment, lifecycle, reach
from alerts.escalation import BEFORE, Plan, Position, Skipped, ask_taker, morning_after, next_call
from alerts.letters import Call, Going, Letters
from alerts.lifecycle import Alert
from alerts.policy import PRIORITIES, Policy
from alerts.protocol import Protocol
from alerts.reach import Way
from alerts.rule import Rule
from alerts.whom import Whom
from store import alerts, messages, people, residents
from store.alerts import AlertRow, NewEvent, Taker
from store.messages import MessageRow, NewMessage
from store.people import Person
from store.postgres import Connection
from store.residents import Resident

CALLS: Final = Counter("hearthwatch_calls_total", "Messages that call a person to an alert.", ["priority", "channel"])
_OUT_FOR: Final = MappingProxyType(
    {"high": timedelta(minutes=10), "medium": timedelta(minutes=50), "low": timedelta(hours=10)}
)
"""Who could not be reached, or cannot come, is passed over for so long, then tried again."""

_PHONES: Final = ("sms", "voice")
"""Ways by which somebody answers at once; mail and a picture on a screen may lie for hours."""
_SILENT_PHONE: Final = frozenset({"30003", "30005", "21211", "21217"})
"""Twilio's codes for a telephone that is off, unknown or no number: no other way to the same number is worth its time."""


def standing(row: AlertRow) -> Alert:
    """The part of an alert's row that has a life."""
    return Alert(
        state=row.state,  # type: ignore[arg-type]  # the record's own check allows the same eight
        raised_at=row.raised_at,
        step=row.step,
        rounds=row.rounds,
        call=row.call,
        climb_at=row.climb_at,
        exhausted_at=row.exhausted_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        attended_at=row.attended_at,
        attended_by=row.attended_by,
        shelved_until=row.shelved_until,
        cancelled_at=row.cancelled_at,
        cleared_at=row.cleared_at,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        outcome=row.outcome,
    )


async def move(c: Connection, row: AlertRow, after: Alert, **also: Any) -> None:
    """Write down what an alert has become, and ``also`` further columns of it."""
    if changes := after.changes_from(standing(row)) | also:
        await alerts.update(c, row.id, changes)


@dataclass(slots=True)
class Caller:
    """Calls people at one moment, in one transaction; whom it has looked up it remembers for that long.

    ``present`` is the protocol in force, looked up when not given: an alert speaks in the words of the one that made it.
    """

    c: Connection
    now: datetime
    present: Protocol | None = None
    _residents: dict[int, Resident] = field(default_factory=dict)
    _ways: dict[tuple[str, UUID], tuple[Way, ...]] = field(default_factory=dict)
    _whom: Whom = field(init=False)
    _letters: Letters = field(init=False)

    def __post_init__(self) -> None:
        self._whom = Whom(self.c, self.now)
        self._letters = Letters(self._whom, self.now)

    async def go_on(self, rows: Sequence[AlertRow]) -> None:
        """Do what these alerts' time has come for: the next call of those that wait, a new beginning for a promise that
        was not kept, the end of the shelf.

        The rows must be locked, or just made by this transaction.
        """
        if not rows:
            return
        protocols = await self._protocols(rows)
        rules = {row.id: protocols.speaker(row) for row in rows}
        known = await self.residents({row.resident_id for row in rows})
        going, events = self._begin(rows)
        await alerts.add_events(self.c, events)
        waiting, later = self._by_day(going, rules, known)
        changes = {g.row.id: g.alert.changes_from(standing(g.row)) for g in later}
        calls = await self._plan(waiting, known) if waiting else []
        codes = await alerts.reply_codes(self.c, [call.going.row.resident_id for call in calls]) if calls else {}
        changes |= {
            call.going.row.id: call.after.changes_from(standing(call.going.row))
            | {"reply_code": codes[call.going.row.resident_id]}
            for call in calls
        }
        await alerts.update_many(self.c, changes)
        await self._write(calls, protocols, known, codes)

    async def policy(self, row: AlertRow) -> Policy:
        """The policy that holds for an alert."""
        resident = await self.resident(row.resident_id)
        await self._whom.look_up([resident])
        return self._whom.policy(resident, row.priority)

    async def attend_by(self, row: AlertRow) -> datetime:
        """By when whoever takes this alert now must be with the resident."""
        return self.now + (await self.policy(row)).attend

    async def after_failure(self, row: AlertRow, call: int) -> tuple[UUID, ...]:
        """Somebody of this ``call`` cannot be reached or cannot come: bring the next call forward to now.

        Not while another of the same call may still answer, nor when the next call holds nobody new: then the ladder
        goes on at its own pace. Returns whoever is being called, or about to be.
        """
        before = standing(row)
        if not before.calls_staff or not before.waits or call != row.call:
            return ()
        out = (await self._out([row]))[row.id]
        gone = {skipped.person for skipped in out}
        if others := await messages.still_called(self.c, row.id, call, _PHONES) - gone:
            return tuple(others)
        resident = await self.resident(row.resident_id)
        await self._whom.look_up([resident])
        policy = self._whom.policy(resident, row.priority)
        plan = next_call(policy, await self._position(row, before, policy), self._whom.around(resident, out), self.now)
        following = tuple(person for person in plan.persons if person not in gone)
        if following:
            await alerts.update(self.c, row.id, {"climb_at": self.now})
        return following

    async def other_ways(self, message: MessageRow, error: str) -> None:
        """One way to somebody has failed: the others of the same call are tried now, but for the same silent telephone."""
        if message.alert_id is None:
            return
        if error in _SILENT_PHONE:
            await messages.give_up_on_address(self.c, message.alert_id, message.step, message.address, error)
        await messages.bring_forward(self.c, message.alert_id, message.step, message.person_id, self.now)

    async def tell_taken(self, row: AlertRow, taker: Person) -> None:
        """Tell the others who were called that somebody has taken it."""
        await self._tell("taken", row, await self._called_in_writing(row, but=taker.id), taker)

    async def tell_closed(self, row: AlertRow, by: UUID) -> None:
        """Tell those who still think of going that it is closed: whoever has taken it, or was called while nobody had."""
        called = await self._called_in_writing(row, but=by)
        thinking = called if standing(row).waits else [m for m in called if m.person_id == row.acknowledged_by]
        await self._tell("closed", row, thinking)

    async def _called_in_writing(self, row: AlertRow, but: UUID) -> list[MessageRow]:
        """The last call that each of the others was sent, by every way but a telephone that rang.

        Not to those who have left the staff since: a resident's name is nothing for them any more.
        """
        sent = [m for m in await messages.of_alert(self.c, row.id) if m.purpose in ("alert", "also") and _went_out(m)]
        last = {(m.person_id, m.channel): m for m in sent if m.person_id != but and m.channel != "voice"}
        left = await people.left(self.c, {person for person, _ in last})
        return [m for m in last.values() if m.person_id not in left]

    async def _tell(self, kind: str, row: AlertRow, to: Sequence[MessageRow], taker: Person | None = None) -> None:
        if not to:
            return
        resident = await self.resident(row.resident_id)
        await self._whom.look_up([resident])
        known = await people.people(self.c, [m.person_id for m in to])
        await messages.add(
            self.c,
            [self._letters.news(kind, row, self._letters.named(resident, known[m.person_id]), m, taker) for m in to],
        )

    async def resident(self, resident_id: int) -> Resident:
        """The resident, looked up once."""
        return (await self.residents({resident_id}))[resident_id]

    async def residents(self, resident_ids: Collection[int]) -> Mapping[int, Resident]:
        """These residents, each looked up once."""
        if new := [number for number in resident_ids if number not in self._residents]:
            self._residents |= {resident.id: resident for resident in await residents.of_ids(self.c, new)}
        return self._residents

    def _begin(self, rows: Sequence[AlertRow]) -> tuple[list[Going], list[NewEvent]]:
        going: list[Going] = []
        events: list[NewEvent] = []
        for row in rows:
            before = standing(row)
            if before.state == "shelved":
                events.append(self._letters.event(row, "unshelved"))
                going.append(Going(row, lifecycle.unshelve(before, self.now)))
            elif before.state == "acknowledged":
                events.append(self._letters.event(row, "lapsed", row.acknowledged_by))
                going.append(Going(row, lifecycle.lapse(before, self.now), row.acknowledged_by))
            else:
                going.append(Going(row, before))
        return going, events

    def _by_day(
        self, going: Sequence[Going], rules: Mapping[int, Rule | None], known: Mapping[int, Resident]
    ) -> tuple[list[Going], list[Going]]:
        """Those to which people are called now, and those that only change: tasks, and what can wait for the morning."""
        waiting, later = [], []
        for one in going:
            rule = rules[one.row.id]
            if not one.alert.calls_staff and rule is not None and not rule.calls:
                later.append(replace(one, alert=lifecycle.rest(one.alert)))
                continue
            zone = ZoneInfo(known[one.row.resident_id].time_zone)
            morning = None if rule is None or rule.calls_at_night else morning_after(self.now, zone)
            if morning is None:
                waiting.append(one)
            elif one.alert.cleared_at is not None and not one.alert.calls_staff:
                later.append(replace(one, alert=lifecycle.rest(one.alert)))
            else:
                later.append(replace(one, alert=lifecycle.call_later(one.alert, morning)))
        return waiting, later

    async def _plan(self, waiting: Sequence[Going], known: Mapping[int, Resident]) -> list[Call]:
        await self._whom.look_up(known[one.row.resident_id] for one in waiting)
        out = await self._out([one.row for one in waiting])
        about = [one.row.resident_id for one in waiting]
        takers = await alerts.takers(self.c, about, self.now, self.now - lifecycle.VISIT_LASTS)
        promised = {one.broken for one in waiting if one.broken is not None}
        await self._whom.know({taker.person_id for taker in takers} | promised)
        plans = {one.row.id: await self._next(one, known, out[one.row.id], takers) for one in waiting}
        await self._know(plans.values(), waiting)
        # Somebody who has no way at all is passed over at once, like one who cannot be reached.
        while mute := [one for one in waiting if not self._reaches(one, plans[one.row.id])]:
            for one in mute:
                gone = tuple(Skipped(person, "unreachable") for person in plans[one.row.id].persons)
                if set(gone) <= set(out[one.row.id]):
                    break
                out[one.row.id] = (*out[one.row.id], *gone)
                plans[one.row.id] = await self._next(one, known, out[one.row.id], takers)
            else:
                await self._know(plans.values(), waiting)
                continue
            break
        return [self._call(one, plans[one.row.id]) for one in waiting]

    async def _next(
        self,
        one: Going,
        known: Mapping[int, Resident],
        out: Collection[Skipped],
        takers: Sequence[Taker],
    ) -> Plan:
        resident = known[one.row.resident_id]
        policy = self._whom.policy(resident, one.row.priority)
        gone = {skipped.person for skipped in out}
        asked = (t.person_id for t in takers if self._comes(t, one, resident) and t.person_id not in gone)
        if not one.alert.call and (taker := next(asked, None)):
            return ask_taker(policy, taker, self.now)
        position = await self._position(one.row, one.alert, policy)
        plan = next_call(policy, position, self._whom.around(resident, out), self.now)
        if one.broken is None or self._whom.has_left(one.broken):
            return plan
        return replace(plan, persons=tuple(dict.fromkeys((one.broken, *plan.persons))))

    def _comes(self, taker: Taker, one: Going, resident: Resident) -> bool:
        """Whether she who has taken another alert of this resident works for the centre, and will be there as soon as this one needs."""
        is_slower = PRIORITIES.index(taker.priority) > PRIORITIES.index(one.row.priority)
        is_other = taker.resident_id != resident.id or self._letters.is_relative(resident, taker.person_id)
        return not (is_slower or is_other or self._whom.is_off(resident, taker.person_id))

    def _call(self, one: Going, plan: Plan) -> Call:
        exhausted_at = self.now if plan.exhausted else None
        after = lifecycle.notify(one.alert, plan.step, plan.rounds, plan.climb_at, exhausted_at)
        return Call(one, plan, after, plan.persons[0] if plan.rounds == BEFORE else None)

    def _reaches(self, one: Going, plan: Plan) -> bool:
        return not plan.persons or any(self._ways[one.row.priority, person] for person in plan.persons)

    async def _know(self, plans: Iterable[Plan], waiting: Iterable[Going]) -> None:
        """Learn by which ways those who are about to be called can be reached."""
        wanted = {
            (one.row.priority, person) for one, plan in zip(waiting, plans, strict=True) for person in plan.persons
        } - set(self._ways)
        await self._whom.know({person for _, person in wanted})
        for priority in {priority for priority, _ in wanted}:
            asked = [self._whom.person(person) for p, person in wanted if p == priority]
            found = await reach.ways(self.c, asked, priority)
            self._ways |= {(priority, person.id): found.get(person.id, ()) for person in asked}

    async def _position(self, row: AlertRow, alert: Alert, policy: Policy) -> Position:
        if alert.state == "raised":
            return Position()
        in_turn = 0 < alert.step <= len(policy.steps) and policy.steps[alert.step - 1].in_turn
        called = await alerts.called_in_step(self.c, row.id) if in_turn else ()
        return Position(alert.step, alert.rounds, called)

    async def _out(self, rows: Sequence[AlertRow]) -> dict[int, tuple[Skipped, ...]]:
        since = {row.id: self.now - _OUT_FOR[row.priority] for row in rows if row.call}
        found = await alerts.out_of_reach(self.c, since) if since else {}
        return {row.id: tuple(Skipped(*out) for out in found.get(row.id, {}).items()) for row in rows}

    async def _write(
        self,
        calls: Sequence[Call],
        protocols: deployment.Protocols,
        known: Mapping[int, Resident],
        codes: Mapping[int, int],
    ) -> None:
        made: list[NewMessage] = []
        events: list[NewEvent] = []
        in_vain = await alerts.called(self.c, [call.going.row.id for call in calls if call.plan.exhausted])
        await self._whom.know({person for persons in in_vain.values() for person in persons})
        for call in calls:
            row = call.going.row
            events += self._letters.told_of(call)
            for person_id in call.plan.persons:
                person = self._whom.person(person_id)
                hers = self._ways[row.priority, person_id]
                resident, code = known[row.resident_id], codes[row.resident_id]
                made += self._letters.messages(call, person, hers, protocols, resident, code, in_vain.get(row.id, ()))
                events.append(self._letters.called(call, person_id, hers))
        await messages.add(self.c, made)
        await alerts.add_events(self.c, events)
        for message in made:
            CALLS.labels(message.priority, message.channel).inc()

    async def _protocols(self, rows: Sequence[AlertRow]) -> deployment.Protocols:
        if self.present is None:
            self.present = await deployment.in_force(self.c, self.now)
        return await deployment.made_by(self.c, self.present, rows)


def _went_out(message: MessageRow) -> bool:
    return message.state in ("sending", "uncertain", "sent", "delivered")
