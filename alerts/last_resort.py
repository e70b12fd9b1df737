"""When a call itself cannot be made: a telephone that cannot be read, words that cannot be written, an hour no rota knows.

Whatever it is that fails, an urgent alert must not wait for its being mended. It is red on every screen at once, and
everybody of the centre and its last line read the plainest words there are, by SMS, until a call succeeds or somebody takes it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from alerts import letters, lifecycle, wording
from alerts.calls import move, standing
from alerts.lifecycle import Alert
from alerts.policy import PRIORITIES
from store import alerts, messages, people, policies, residents
from store.alerts import AlertRow
from store.messages import NewMessage
from store.people import Person
from store.postgres import Connection, Unavailable, part
from store.residents import Resident

log = structlog.get_logger(__name__)

CRIES: Final = Counter(
    "hearthwatch_last_resorts_total", "Urgent alerts to which people could not be called as they should be."
)

_AGAIN: Final = timedelta(seconds=30)
"""When an alert at which a call failed is tried again."""
_AGAIN_URGENT: Final = timedelta(minutes=2)
"""The same, when everybody has been told: as long as a step of the shipped policy."""
_GOOD_FOR: Final = timedelta(minutes=15)


async def cry_out(c: Connection, row: AlertRow, now: datetime) -> None:
    """An alert, locked by this transaction, could not go on: it is tried again soon; if it is urgent everybody is told now."""
    waiting = _waiting(standing(row), now)
    if row.priority != PRIORITIES[0] or not waiting.waits:
        await alerts.update(c, row.id, {"climb_at": now + _AGAIN})
        return
    CRIES.inc()
    after = lifecycle.notify(waiting, max(waiting.step, 1), waiting.rounds, now + _AGAIN_URGENT, exhausted_at=now)
    await move(c, row, after)
    try:
        async with part(c):
            told = await messages.add(c, await _messages(c, row, after.call, now))
    except Unavailable:
        raise
    except Exception:
        told = set()
        log.exception("last_resort_without_words", alert=row.id)
    log.error("called_by_last_resort", alert=row.id, told=len(told))
    detail = {"called_instead": len(told)}
    await alerts.add_event(c, row.id, row.resident_id, "exhausted", at=now, detail=detail)


def _waiting(alert: Alert, now: datetime) -> Alert:
    if alert.state == "acknowledged":
        return lifecycle.lapse(alert, now)
    return lifecycle.unshelve(alert, now) if alert.state == "shelved" else alert


async def _messages(c: Connection, row: AlertRow, call: int, now: datetime) -> list[NewMessage]:
    [resident] = await residents.of_ids(c, [row.resident_id])
    line = await policies.fallback(c, resident.centre_id)
    readers = {person.id: person for person in await people.staff(c, resident.centre_id)}
    readers |= await people.people(c, [line] if line else [])
    return [_message(row, call, now, resident, reader, reader.phone) for reader in readers.values() if reader.phone]


def _message(row: AlertRow, call: int, now: datetime, resident: Resident, reader: Person, phone: str) -> NewMessage:
    language = reader.language
    sentence = wording.without_rule(row.rule, language)
    named = letters.about(resident, language)
    said = wording.say(
        "exhausted", "sms", language, named, sentence=sentence, code=row.reply_code, priority=row.priority
    )
    return NewMessage(
        purpose="alert",
        priority=row.priority,
        person_id=reader.id,
        channel="sms",
        address=phone,
        language=language,
        body=said.body,
        due_at=now,
        expires_at=now + _GOOD_FOR,
        made_at=now,
        alert_id=row.id,
        resident_id=row.resident_id,
        step=call,
        code=row.reply_code,
    )
