"""What people answer to a call, by SMS or by a key, and what they hear back; each in the caller's transaction.

A conversation is everything open about one resident. Whoever answers means the one that waits for her; with several she is
asked which; what she says decides about all of its alerts at once. What she hears back is read from the record after it has
been done, so that of two who answer at the same moment each learns who was first.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from alerts import actions, reach, replies, unreachable, wording
from alerts.conversations import Conversation, by_code, conversations, possible, waiting
from alerts.lifecycle import TransitionError
from alerts.replies import FIGURES, Reply, Verb
from store import alerts, messages, people
from store import replies as record
from store.messages import MessageRow, NewMessage
from store.people import Person
from store.postgres import Connection
from store.replies import CalledTo

log = structlog.get_logger(__name__)

REPLIES: Final = Counter(
    "hearthwatch_replies_total", "Replies by SMS and key, by what was done about them.", ["outcome"]
)

_REMEMBERED: Final = timedelta(days=1)
"""How long after a call a late reply is still taken to mean it."""
_ASKED_LATELY: Final = timedelta(minutes=15)
"""How long a bare code is taken for the answer to 'which?'."""
_TESTED_LATELY: Final = timedelta(minutes=30)
_RECEIPT_GOOD_FOR: Final = timedelta(minutes=15)
_MOST_STRANGERS: Final = (1, timedelta(days=1))
_MOST_RIDDLES: Final = (5, timedelta(minutes=10))
"""How many of what is not understood are answered, in how long: a machine that answers by itself must not be answered for ever."""


_Act = Callable[[Connection, int, UUID, datetime, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What is said to whoever has pressed a key; ``again``: no key of ours, to be asked once more."""

    said: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Done:
    """What was done about one thing somebody said, and the words for it; no words: she is not answered."""

    outcome: str
    said: str


async def answer_sms(c: Connection, sid: str, phone: str, body: str, now: datetime) -> tuple[str, ...]:
    """Somebody has answered by SMS. Returns what to say back, each one message; a reply counts once, however often it comes."""
    person = await people.person_by_phone(c, phone)
    person_id = None if person is None else person.id
    if not await messages.note_inbound(c, sid, phone, body[:1600], person_id, now, "received"):
        return ()
    if replies.belongs_to_carrier(body):
        await unreachable.carrier_word(c, phone, body, now)
        done = [_Done("carrier_word", "")]
    elif person is None:
        done = [await _stranger(c, sid, phone, now)]
    elif await record.has_left(c, person.id):
        done = [_Done("no_longer", _say("no_longer", person.language))]
    else:
        done = await Answering(c, person, "sms", person.language, now).to(sid, phone, body)
    await messages.set_inbound_outcome(c, sid, done[0].outcome)
    for one in done:
        REPLIES.labels(one.outcome).inc()
    return tuple(one.said for one in done if one.said)


async def answer_key(c: Connection, message_id: int, digits: str, now: datetime) -> Heard:
    """Somebody has pressed a key, or a button, of a message: it is about that message's conversation."""
    message = await messages.message(c, message_id)
    person = None if message is None else await people.person(c, message.person_id)
    if message is None or person is None:
        return Heard(_say("nothing_waits", wording.ZH, channel="voice"))
    language, channel = message.language, message.channel
    verb = FIGURES.get(digits.strip()[:1])
    if verb is None:
        wrong = _say("wrong_key", language, channel=channel)
        return Heard(("" if language == wording.ZH else " ").join((wrong, message.body)), again=True)
    if message.resident_id is None:
        return Heard(_say("test_heard", language, channel=channel))
    if await record.has_left(c, person.id):
        return Heard(_say("no_longer", language, channel=channel))
    done = await Answering(c, person, channel, language, now).key(verb, message)
    REPLIES.labels(done.outcome).inc()
    return Heard(done.said)


async def overtaken(c: Connection, message: MessageRow, now: datetime) -> str | None:
    """What to tell her who picks up the telephone when nothing is left to do for her; ``None`` while there is."""
    person = await people.person(c, message.person_id)
    if person is None or message.resident_id is None:
        return None
    return await Answering(c, person, message.channel, message.language, now).overtaken(message.resident_id)


async def _stranger(c: Connection, sid: str, phone: str, now: datetime) -> _Done:
    """A number nobody of the record has: told so once a day, without a word about anybody. A short number is a machine's."""
    log.warning("reply_from_unknown_number", sid=sid)
    most, within = _MOST_STRANGERS
    if not phone.startswith("+") or await record.count(c, phone, "unknown_number", now - within) >= most:
        return _Done("unknown_number", "")
    return _Done("unknown_number", _say("unknown_number", wording.ZH if phone.startswith("+86") else "en"))


def _say(kind: str, language: str, about: wording.About = wording.NOBODY, channel: str = "sms", **also: object) -> str:
    return wording.say(kind, channel, language, about, **also).body  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Answering:
    """One person answers, at one moment, by one channel."""

    c: Connection
    person: Person
    channel: str
    language: str
    now: datetime

    async def to(self, sid: str, phone: str, body: str) -> list[_Done]:
        """Everything that one SMS says."""
        known = await self._conversations()
        named = [(code, one.about(self.language).name) for code, one in by_code(known).items()]
        meant = replies.understand(body, named)
        if len(meant) == 1 and meant[0].verb == "unknown" and (verb := await self._asked(sid)):
            meant = (Reply(verb, meant[0].code),) if meant[0].code else meant
        done = []
        if len(meant) > 1 or any(reply.every for reply in meant):
            # All that she may mean, in the order in which everybody locks them: not in that in which she names them.
            await alerts.open_of_residents(self.c, [one.resident_id for one in known])
        for reply in meant:
            done += await self._each(reply, phone, known)
            known = await self._conversations()
        return done

    async def _each(self, reply: Reply, phone: str, known: Sequence[Conversation]) -> list[_Done]:
        if reply.every and len(meant := possible(reply.verb, known)) > 1:
            in_order = sorted(meant, key=lambda conversation: conversation.resident_id)  # as others lock them
            return [await self._act(reply.verb, conversation) for conversation in in_order]
        return [await self._one(reply, phone, known)]

    async def key(self, verb: Verb, message: MessageRow) -> _Done:
        """A key, pressed while she heard of a resident. Where to go she also gets in writing, if she can read it."""
        meant = [one for one in await self._conversations() if one.resident_id == message.resident_id]
        if not meant:
            return self._done("nothing_waits")
        done = await self._act(verb, meant[0])
        if done.outcome == "taken" and self.channel == "voice":
            written = self._of_taken(await self._again(meant[0]), channel="sms")
            await self._write(message, written.said)
        return done

    async def overtaken(self, resident_id: int) -> str | None:
        """What has become of it meanwhile, where it does not wait for her any more and she has not taken it herself."""
        for conversation in await self._conversations():
            put_aside = conversation.others is None and conversation.not_taken is not None
            if conversation.resident_id == resident_id and conversation.is_over and not put_aside:
                return self._too_late(conversation).said
        return None

    async def _write(self, message: MessageRow, words: str) -> None:
        ways = (await reach.ways(self.c, [self.person], message.priority)).get(self.person.id, ())
        made = [
            NewMessage(
                purpose="receipt",
                priority=message.priority,
                person_id=self.person.id,
                channel=way.channel,
                address=way.address,
                language=self.language,
                body=words,
                due_at=self.now,
                expires_at=self.now + _RECEIPT_GOOD_FOR,
                made_at=self.now,
                alert_id=message.alert_id,
                resident_id=message.resident_id,
                step=message.step,
                code=message.code,
            )
            for way in ways
            if way.channel == "sms"
        ]
        await messages.add(self.c, made)

    async def _one(self, reply: Reply, phone: str, known: Sequence[Conversation]) -> _Done:
        if reply.verb == "help":
            return self._done("help", waiting=self._named(waiting(known)))
        if reply.code is not None:
            return await self._by_code(reply.verb, reply.code, known)
        if reply.verb == "unknown":
            return await self._riddle(phone, known)
        if reply.verb == "take" and not waiting(known) and await self._was_tested():
            return self._done("test_heard")
        return await self._that_waits(reply.verb, known)

    async def _by_code(self, verb: Verb, code: int, known: Sequence[Conversation]) -> _Done:
        named = by_code(known).get(code)
        if named is None:
            return self._done("unknown_code", code=code, waiting=self._named(waiting(known)))
        if verb == "unknown":
            return self._done("what", named, code=code)
        return await self._act(verb, named)

    async def _riddle(self, phone: str, known: Sequence[Conversation]) -> _Done:
        most, within = _MOST_RIDDLES
        if await record.count(self.c, phone, "not_understood", self.now - within) >= most:
            return _Done("not_understood", "")
        return self._done("not_understood", waiting=self._named(waiting(known)))

    async def _that_waits(self, verb: Verb, known: Sequence[Conversation]) -> _Done:
        """The one that a reply without a code is about; with several she is asked."""
        latest = max(known, key=lambda conversation: conversation.told_at, default=None)
        if latest is None:
            return self._done("nothing_waits")
        meant = possible(verb, known)
        if len(meant) > 1:
            return self._done("which", waiting=self._named(meant), verb=replies.figure(verb))
        if not meant:
            return await self._act(verb, latest)
        if latest is not meant[0] and latest.is_over and verb != "attend":
            # The last she heard is what others have done about this one, and that may be what she means.
            other = latest.others
            by = self._taker(other) if other else ""
            figure = replies.figure(verb)
            return self._done("another_waits", latest, person=by, waiting=self._named(meant), verb=figure)
        return await self._act(verb, meant[0])

    async def _act(self, verb: Verb, conversation: Conversation) -> _Done:
        act = {"take": self._take, "decline": self._decline, "attend": self._attend}[verb]
        try:
            return await act(conversation)
        except actions.NotAllowed:  # she took it uncalled, and is not related to the resident any more
            return self._done("nothing_waits")

    async def _take(self, conversation: Conversation) -> _Done:
        alert = conversation.waiting or conversation.hers or conversation.not_taken
        if alert is not None:
            await self._try(actions.acknowledge, alert)
            conversation = await self._again(conversation)
        return self._of_taken(conversation)

    def _of_taken(self, conversation: Conversation, channel: str = "") -> _Done:
        hers = conversation.hers
        if hers is None:
            return self._too_late(conversation)
        if hers.state == "attended":
            return self._done("attended", conversation)
        minutes = (
            None if hers.climb_at is None else max(1, math.ceil((hers.climb_at - self.now) / timedelta(minutes=1)))
        )
        return self._done("receipt", conversation, outcome="taken", channel=channel, minutes=minutes)

    async def _attend(self, conversation: Conversation) -> _Done:
        alert = conversation.hers or conversation.waiting or conversation.not_taken or conversation.others
        if alert is not None:
            await self._try(actions.attend, alert)
            conversation = await self._again(conversation)
        hers = conversation.hers
        if hers is not None and hers.state == "attended":
            return self._done("attended", conversation)
        return self._too_late(conversation)

    async def _decline(self, conversation: Conversation) -> _Done:
        alert = conversation.hers or conversation.waiting
        if alert is None:
            return self._too_late(conversation)
        if alert is not conversation.hers and conversation.declined:
            return self._done("declined", conversation)
        try:
            following = await actions.decline(self.c, alert.alert_id, self.person.id, self.now, self.channel)
        except TransitionError:
            return self._too_late(await self._again(conversation))
        named = [person.name(self.language) for person in following if person.id != self.person.id]
        return self._done("declined", conversation, calls=named)

    def _too_late(self, conversation: Conversation) -> _Done:
        """Nothing is left to do for her: somebody else has it, or it is closed."""
        if (other := conversation.others) is not None:
            kind = "attended_already" if other.state == "attended" else "taken_already"
            return self._done(kind, conversation, person=self._taker(other))
        return self._done("closed_already", conversation)

    async def _try(self, act: _Act, alert: CalledTo) -> None:
        try:
            await act(self.c, alert.alert_id, self.person.id, self.now, self.channel)
        except TransitionError as refused:
            log.info("reply_comes_too_late", alert=alert.alert_id, why=refused.code)

    async def _was_tested(self) -> bool:
        return await record.was_tested(self.c, self.person.id, self.now - _TESTED_LATELY)

    async def _asked(self, sid: str) -> Verb | None:
        """The verb of which she was last asked which conversation it is for."""
        last = await record.last_outcome(self.c, self.person.id, sid, self.now - _ASKED_LATELY)
        return replies.understand(last[1])[0].verb if last and last[0] == "which" else None

    async def _conversations(self) -> list[Conversation]:
        called_to = await record.called_to(self.c, self.person.id, self.now - _REMEMBERED)
        return conversations(self.person.id, called_to)

    async def _again(self, conversation: Conversation) -> Conversation:
        resident_id = conversation.resident_id
        return next((one for one in await self._conversations() if one.resident_id == resident_id), conversation)

    def _named(self, conversations: Iterable[Conversation]) -> list[tuple[int, str]]:
        return [(one.code, one.about(self.language).name) for one in conversations if one.code]

    def _taker(self, alert: CalledTo) -> str:
        return (alert.taker_zh if self.language == wording.ZH else alert.taker_en) or ""

    def _done(
        self,
        kind: str,
        conversation: Conversation | None = None,
        *,
        outcome: str = "",
        channel: str = "",
        **also: object,
    ) -> _Done:
        about = wording.NOBODY if conversation is None else conversation.about(self.language)
        return _Done(outcome or kind, _say(kind, self.language, about, channel or self.channel, **also))
