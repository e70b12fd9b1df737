"""Calling people to an alert: whom the ladder names next, in the words of each one's language.

Everything happens in the caller's transaction. An alert's row is always locked before its messages are touched,
so that a taking and a climb have one order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from alerts import deployment, lifecycle, wording
from alerts.escalation import Duty, Plan, call_number, next_step, wait
from alerts.lifecycle import Alert
from alerts.protocol import Protocol
from store import alerts, duties, messages, people, residents
from store.alerts import AlertRow
from store.messages import MessageRow
from store.people import Person
from store.postgres import Connection
from store.residents import Resident

log = structlog.get_logger(__name__)

CALLS: Final = Counter("hearthwatch_calls_total", "Messages that call a person to an alert.", ["priority"])
UNMANNED: Final = Counter("hearthwatch_calls_unmanned_total", "Calls for which nobody on duty could be named.")

# A stale alert must not arrive tomorrow: a message lives about as long as its ladder takes for two rounds.
_GOOD_FOR: Final = MappingProxyType(
    {"high": timedelta(minutes=15), "medium": timedelta(hours=1), "low": timedelta(hours=4)}
)
_NEWS_GOOD_FOR: Final = timedelta(hours=1)
_OUT_FOR_WAITS: Final = 5
"""Who could not be reached is passed over for so many waits of the ladder, then tried again."""


def standing(row: AlertRow) -> Alert:
    """The part of an alert's row that has a life."""
    return Alert(
        state=row.state,  # type: ignore[arg-type]  # the record's own check allows the same five
        raised_at=row.raised_at,
        step=row.step,
        rounds=row.rounds,
        climb_at=row.climb_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        shelved_until=row.shelved_until,
        cleared_at=row.cleared_at,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        outcome=row.outcome,
    )


async def move(c: Connection, row: AlertRow, after: Alert, **also: Any) -> None:
    """Write down what an alert has become, and ``also`` further columns of it."""
    if changes := after.changes_from(standing(row)) | also:
        await alerts.update(c, row.id, changes)


def about(resident: Resident, language: str) -> wording.About:
    """The resident as a message in ``language`` names her."""
    return wording.About(resident.name(language), resident.address(language), resident.phone)


@dataclass(slots=True)
class Caller:
    """Calls people at one moment, in one transaction; whom it has looked up it remembers for that long.

    ``present`` is the protocol in force, looked up when not given: an alert speaks in the words of the one that made it.
    """

    c: Connection
    now: datetime
    present: Protocol | None = None
    _residents: dict[int, Resident] = field(default_factory=dict)
    _duties: dict[int, tuple[Duty, dict[UUID, Person]]] = field(default_factory=dict)

    async def call_next(self, row: AlertRow) -> None:
        """Call the next rung; a task whose time on the shelf is over only leaves it.

        The row must be locked, or just made by this transaction.
        """
        before = standing(row)
        if before.state == "shelved":
            before = lifecycle.unshelve(before, self.now)
            await alerts.add_event(self.c, row.id, row.resident_id, "unshelved", at=self.now)
            if not before.calls_staff and not await self._calls(row):
                await move(self.c, row, before)
                return
        resident = await self.resident(row.resident_id)
        plan, known = await self._plan(row, before, resident)
        after = lifecycle.notify(before, plan.step, plan.rounds, plan.climb_at)
        code = row.reply_code or await alerts.free_reply_code(self.c)
        await move(self.c, row, after, reply_code=code)
        kind = "called" if row.step == 0 else "climbed"
        if plan.unmanned:
            await self._say_unmanned(row, plan)
        for person in plan.persons:
            await self._call(row, plan, resident, known[person], code, kind)

    async def _calls(self, row: AlertRow) -> bool:
        rule = (await self._protocols(row)).rule(row.protocol, row.rule)
        return rule is not None and rule.calls

    async def _protocols(self, row: AlertRow) -> deployment.Protocols:
        if self.present is None:
            self.present = await deployment.in_force(self.c, self.now)
        return await deployment.made_by(self.c, self.present, [row])

    async def after_failure(self, row: AlertRow, call: int) -> tuple[UUID, ...]:
        """Somebody of this ``call`` cannot be reached or cannot come: bring the next rung forward to now.

        Not while another of the same call may still answer, nor when the next rung holds nobody new: then the
        ladder goes on at its own pace. Returns whoever is being called, or about to be.
        """
        before = standing(row)
        waits = before.calls_staff and before.state in ("raised", "notified")
        if not waits or call != call_number(row.step, row.rounds):
            return ()
        out = await self._out(row)
        if others := await messages.still_called(self.c, row.id, call) - out:
            return tuple(others)
        plan, _ = await self._plan(row, before, await self.resident(row.resident_id))
        following = tuple(person for person in plan.persons if person not in out)
        if following:
            await alerts.update(self.c, row.id, {"climb_at": self.now})
        return following

    async def tell_taken(self, row: AlertRow, taker: Person) -> None:
        """Tell the others who were called that somebody has taken it."""
        resident = await self.resident(row.resident_id)
        sent = [m for m in await messages.of_alert(self.c, row.id) if m.purpose == "alert" and _went_out(m)]
        for other in {m.person_id: m for m in sent if m.person_id != taker.id}.values():
            text = wording.taken_sms(about(resident, other.language), taker.name(other.language), other.language)
            await self._add(row, "taken", call_number(row.step, row.rounds), other, text, _NEWS_GOOD_FOR)

    async def resident(self, resident_id: int) -> Resident:
        """The resident, looked up once."""
        if resident_id not in self._residents:
            found = await residents.resident(self.c, resident_id)
            assert found is not None, "an alert's resident is there by foreign key"
            self._residents[resident_id] = found
        return self._residents[resident_id]

    async def _plan(self, row: AlertRow, alert: Alert, resident: Resident) -> tuple[Plan, dict[UUID, Person]]:
        duty, known = await self._duty(resident.centre_id)
        out = await self._out(row) if row.step else set()
        step = 0 if alert.state == "raised" else alert.step
        return next_step(row.priority, step, alert.rounds, duty.without(out), self.now), known

    async def _out(self, row: AlertRow) -> set[UUID]:
        return await alerts.out_of_reach(self.c, row.id, self.now - _OUT_FOR_WAITS * wait(row.priority))

    async def _duty(self, centre_id: int) -> tuple[Duty, dict[UUID, Person]]:
        if centre_id not in self._duties:
            on_duty = await duties.on_duty(self.c, centre_id, self.now)
            staff = await people.staff(self.c, centre_id)
            known = {p.id: p for rung in on_duty.values() for p in rung} | {p.id: p for p in staff}
            rungs = {rung: [p.id for p in persons] for rung, persons in on_duty.items()}
            self._duties[centre_id] = Duty(rungs, [p.id for p in staff]), known
        return self._duties[centre_id]

    async def _say_unmanned(self, row: AlertRow, plan: Plan) -> None:
        UNMANNED.inc()
        log.error("nobody_on_duty", alert=row.id, called_instead=len(plan.persons))
        detail = {"called_instead": len(plan.persons)}
        await alerts.add_event(self.c, row.id, row.resident_id, "unmanned", at=self.now, detail=detail)

    async def _call(self, row: AlertRow, plan: Plan, resident: Resident, person: Person, code: int, kind: str) -> None:
        text = wording.alert_sms(
            await self._sentence(row, person.language), about(resident, person.language), person.language, code
        )
        if await self._add(row, "alert", plan.call, person, text, _GOOD_FOR[row.priority]):
            CALLS.labels(row.priority).inc()
            detail = {"step": plan.step, "round": plan.rounds}
            await alerts.add_event(
                self.c, row.id, row.resident_id, kind, at=self.now, person_id=person.id, channel="sms", detail=detail
            )

    async def _sentence(self, row: AlertRow, language: str) -> str:
        sentence = (await self._protocols(row)).sentence(row, "staff", language)
        return wording.without_rule(row.rule, language) if sentence is None else sentence

    async def _add(
        self, row: AlertRow, purpose: str, call: int, to: Person | MessageRow, text: str, good_for: timedelta
    ) -> bool:
        assert to.phone is not None, "only people with a telephone are on the ladder"
        added = await messages.add(
            self.c,
            alert_id=row.id,
            resident_id=row.resident_id,
            step=call,
            purpose=purpose,
            person_id=to.id if isinstance(to, Person) else to.person_id,
            channel="sms",
            phone=to.phone,
            language=to.language,
            body=text,
            due_at=self.now,
            expires_at=self.now + good_for,
        )
        return added is not None


def _went_out(message: MessageRow) -> bool:
    return message.state in ("sending", "uncertain", "sent", "delivered")
