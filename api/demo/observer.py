"""What happens in the record, told as events: for the terminal, for the file of the story, for the tests.

It looks at the record as anybody could and changes nothing. Every event has a name, the seconds since the demo
began and the moment; what else it bears depends on its name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from store import alerts, messages, people
from store.alerts import AlertRow
from store.messages import MessageRow
from store.postgres import Connection, Database, Unavailable

_LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, ``t`` seconds after the demo began."""

    t: float
    at: datetime
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """As one line of JSON."""
        moment = self.at.isoformat().replace("+00:00", "Z")
        return json.dumps({"t": round(self.t, 3), "at": moment, "event": self.name, **self.fields}, ensure_ascii=False)

    def matches(self, name: str, wanted: Mapping[str, Any]) -> bool:
        """Whether it is of this name and bears these values."""
        return self.name == name and all(self.fields.get(k) == v for k, v in wanted.items())


class Journal:
    """The events so far, in order; ``record`` is a file that receives each as a line of JSON."""

    def __init__(self, record: Path | None, tell: Callable[[Event], None]) -> None:
        self.events: list[Event] = []
        self._began = datetime.now(UTC)
        self._record = record
        self._tell = tell
        self._news = asyncio.Condition()
        if record is not None:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text("")

    async def add(self, name: str, /, **fields: Any) -> None:
        """Write down what happened just now."""
        at = datetime.now(UTC)
        event = Event((at - self._began).total_seconds(), at, name, fields)
        self.events.append(event)
        if self._record is not None:
            with self._record.open("a", encoding="utf-8") as file:
                file.write(event.line() + "\n")
        self._tell(event)
        async with self._news:
            self._news.notify_all()

    async def until(self, name: str, within_s: float, /, **wanted: Any) -> Event:
        """The first event of this name and these values; ``TimeoutError`` when it does not come in time."""
        async with asyncio.timeout(within_s), self._news:
            while True:
                for event in self.events:
                    if event.matches(name, wanted):
                        return event
                await self._news.wait()


class Observer:
    """Follows alerts, their messages and what residents are asked."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._alerts: dict[int, AlertRow] = {}
        self._told: set[tuple[str, int]] = set()
        self._since = datetime.now(UTC)

    async def begin(self) -> None:
        """Take what is there already as known."""
        async with self._database.service() as c:
            self._alerts = {alert.id: alert for alert in await alerts.open_alerts(c)}

    async def run(self) -> None:
        """Look again and again, until cancelled. A record that is away for a while is looked at later."""
        while True:
            try:
                async with self._database.service() as c:
                    await self._look(c)
            except Unavailable:
                await asyncio.sleep(1)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, c: Connection) -> None:
        now = datetime.now(UTC)
        seen = {a.id: a for a in await alerts.open_alerts(c)}
        for number in self._alerts.keys() - seen.keys():
            if closed := await alerts.alert(c, number):
                seen[number] = closed
        for alert in seen.values():
            await self._note_alert(c, alert)
        for message in await messages.gone_out(c, self._since):
            if self._is_news("message", message.id):
                await self._tell_message(c, message)
        for prompt in await alerts.asking(c, now):
            if self._is_news("asked", prompt.id):
                await self._journal.add(
                    "asked", resident=prompt.resident_id, rule=prompt.rule, kind=prompt.kind, until=_iso(prompt.until)
                )

    def _is_news(self, kind: str, number: int) -> bool:
        news = (kind, number) not in self._told
        self._told.add((kind, number))
        return news

    async def _note_alert(self, c: Connection, alert: AlertRow) -> None:
        before = self._alerts.get(alert.id)
        self._alerts[alert.id] = alert
        common = {"alert": alert.id, "resident": alert.resident_id, "rule": alert.rule, "priority": alert.priority}
        if before is None:
            await self._journal.add("raised", **common, evidence=alert.evidence, step=alert.step)
        if alert.state == "acknowledged" and (before is None or before.state != "acknowledged"):
            await self._journal.add("acknowledged", **common, by=await _name(c, alert.acknowledged_by))
        if alert.state == "resolved" and (before is None or before.state != "resolved"):
            await self._journal.add("resolved", **common, by=await _name(c, alert.resolved_by), outcome=alert.outcome)

    async def _tell_message(self, c: Connection, message: MessageRow) -> None:
        alert = self._alerts.get(message.alert_id or 0)
        await self._journal.add(
            message.channel,
            alert=message.alert_id,
            rule=alert.rule if alert else None,
            resident=message.resident_id,
            purpose=message.purpose,
            to=message.address,
            person=await _name(c, message.person_id),
            language=message.language,
            body=message.body,
        )


async def _name(c: Connection, person_id: UUID | None) -> str | None:
    person = None if person_id is None else await people.person(c, person_id)
    return None if person is None else person.name_en


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
