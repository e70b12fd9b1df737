"""A service at work for tests: its record, a household, its door, a telephone network, and a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from alerts import protocol
from alerts.channels import Channel, ChannelName
from alerts.dispatch import Dispatcher
from alerts.engine import Firing
from alerts.verdicts import Verdicts
from alerts.worker import utc_now
from store import alerts, messages
from store.alerts import AlertRow
from store.messages import MessageRow
from store.people import Person
from store.postgres import Database
from tests.alerts.clock import Clock
from tests.alerts.door import open_door
from tests.alerts.network import Line, free_port, telephone_line, until
from tests.household import Household, furnish

RULES = protocol.load()


@dataclass
class Service:
    """Everything between a verdict of the rules core and a person's phone."""

    database: Database
    home: Household
    line: Line
    clock: Clock
    dispatcher: Dispatcher

    async def raised_joined(self, rule: str, **evidence: float) -> None:
        """A rule that joins an alert that is open, as the rules core raises it now."""
        at = np.datetime64(self.clock.now.replace(tzinfo=None), "us")
        async with self.database.service() as c:
            firing = Firing(self.home.wang, rule, "raise", at, None, dict(evidence))
            await Verdicts(c, RULES, self.clock.now).carry_out([firing])

    async def raised(self, rule: str = "help_call", resident: int | None = None, **evidence: float) -> AlertRow:
        """An alert as the rules core raises it now."""
        at = np.datetime64(self.clock.now.replace(tzinfo=None), "us")
        resident = resident or self.home.wang
        firing = Firing(resident, rule, "raise", at, None, dict(evidence) or {"probability": 1.0})
        async with self.database.service() as c:
            await Verdicts(c, RULES, self.clock.now).carry_out([firing])
            row = await alerts.open_of(c, resident, rule)
        assert row is not None
        return row

    async def work(self) -> None:
        """Send what is due, climb what is due, and send what that brought."""
        await until(self._climbed)
        await self.dispatcher.look_up()
        while await self.dispatcher.send_due() == 0.0:
            await self.dispatcher.sent_all()

    async def _climbed(self) -> bool:
        # An alert that a callback holds just now is passed over, and is due at once.
        return await self.dispatcher.climb() > 0

    async def hear(self) -> None:
        """Let the network deliver and call back about everything it has."""
        await until(lambda: all(sms.is_final for sms in self.line.telephone.network.messages))
        await until(self._all_heard)

    async def _all_heard(self) -> bool:
        final = {sms.sid for sms in self.line.telephone.network.messages if sms.direction == "outbound-api"}
        async with self.database.service() as c:
            cursor = await c.execute("SELECT provider_sid FROM message WHERE state = 'sent'")
            return not final & {row[0] for row in await cursor.fetchall()}

    async def alert(self, alert_id: int) -> AlertRow:
        async with self.database.service() as c:
            row = await alerts.alert(c, alert_id)
        assert row is not None
        return row

    async def messages(self, alert_id: int) -> list[MessageRow]:
        async with self.database.service() as c:
            return await messages.of_alert(c, alert_id)

    async def states(self, alert_id: int, purpose: str = "alert") -> list[tuple[str, str]]:
        """Each message's person and state, in order."""
        names = {p.id: p.name_en for p in self.staff}
        return [
            (names.get(m.person_id, "the line"), m.state) for m in await self.messages(alert_id) if m.purpose == purpose
        ]

    async def trail(self, alert_id: int) -> list[str]:
        async with self.database.service() as c:
            return [step.kind for step in (await alerts.trail(c, [alert_id]))[alert_id]]

    @property
    def staff(self) -> list[Person]:
        return [self.home.li_na, self.home.chen, self.home.supervisor, self.home.doctor]

    def said_to(self, person: Person) -> list[str]:
        assert person.phone is not None
        return self.line.said_to(person.phone)

    async def reply(self, person: Person, body: str) -> list[str]:
        assert person.phone is not None
        return await self.line.reply(person.phone, body)


@asynccontextmanager
async def at_work(database: Database) -> AsyncIterator[Service]:
    """The service over a furnished household; nothing moves until the test says so."""
    clock, port = Clock(utc_now()), free_port()
    async with database.service() as c:
        home = await furnish(c, clock.now - timedelta(hours=1))
    async with telephone_line(open_door(database, port, clock), port, clock=clock) as line:
        channels: dict[ChannelName, Channel] = {"sms": line.channel, "voice": line.voice}
        yield Service(database, home, line, clock, Dispatcher(database, channels, clock=clock))
