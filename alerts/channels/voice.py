"""Calls through Twilio: the alert is read aloud, and a key takes it or passes it on.

Twilio fetches what it reads from this service when somebody answers, as TwiML
(https://www.twilio.com/docs/voice/twiml). It listens first for who has answered
(https://www.twilio.com/docs/voice/answering-machine-detection): a machine hears nothing about anybody, and whoever may
be one hears nothing before a key has been pressed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from alerts.channels import Receipt, utc_now
from alerts.channels.twilio_account import PAGE, TwilioAccount
from store.messages import MessageRow

VOICE_PATH: Final = "/webhooks/twilio/voice"
MACHINE: Final = "machine"
"""The error of a call that a machine answered."""
HUNG_UP: Final = "hung_up"
"""The error of a call that was over before anything had been read."""

_RING_S: Final = (5, 25)
"""The shortest and the longest: about five rings, for most mailboxes answer later and the next person waits."""
_LISTEN_S: Final = 10
"""How long a machine is listened for; Twilio's own 30 s would be silence for a person."""
_SILENCE_MS: Final = 3000
"""Whoever says nothing for so long is nobody Twilio knows, and is asked for a key."""
_LONGEST_S: Final = 180
_EVENTS: Final = ["initiated", "answered", "completed"]
_LOOK_BACK: Final = timedelta(minutes=1)

Answerer = Literal["person", "machine", "unknown"]

_FAILED: Final = frozenset({"busy", "no-answer", "failed", "canceled"})


class VoiceChannel:
    """Calls from one number of one Twilio account. To be used within one event loop.

    ``public_url`` is where Twilio reaches this service. ``base_url`` replaces ``https://api.twilio.com``, for
    a stand-in. ``clock`` says how long a message is still good for: it does not ring longer.
    """

    confirms = True

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        from_: str,
        public_url: str,
        base_url: str | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._from = from_
        self._webhook = public_url.rstrip("/") + VOICE_PATH
        self._account = TwilioAccount(account_sid, auth_token, base_url)
        self._clock = clock

    async def send(self, message: MessageRow) -> Receipt:
        """Have Twilio call. Raises a :class:`~alerts.channels.SendError`."""
        left_s = math.floor((message.expires_at - self._clock()).total_seconds())
        call = await self._account.ask(
            self._account.client.calls.create_async(
                to=message.address,
                from_=self._from,
                url=f"{self._webhook}/{message.id}",
                # The same again: a service that is just being restarted is asked a second time.
                fallback_url=f"{self._webhook}/{message.id}",
                status_callback=f"{self._webhook}/{message.id}/status",
                status_callback_event=_EVENTS,
                timeout=min(max(left_s, _RING_S[0]), _RING_S[1]),
                time_limit=_LONGEST_S,
                machine_detection="Enable",
                machine_detection_timeout=_LISTEN_S,
                machine_detection_silence_timeout=_SILENCE_MS,
            )
        )
        return _receipt(call)

    async def find(self, message: MessageRow) -> list[Receipt]:
        """The calls to this number since it was tried, newest first. A call bears no words to tell it by."""
        since = (message.sending_at or message.created_at) - _LOOK_BACK
        return await self._account.ask(self._calls(message.address, since.replace(microsecond=0)))

    async def _calls(self, phone: str, since: datetime) -> list[Receipt]:
        found: list[Receipt] = []
        async for call in await self._account.client.calls.stream_async(to=phone, from_=self._from, page_size=PAGE):
            if call.date_created is not None and call.date_created < since:
                break
            found.append(_receipt(call))
        return found

    async def status(self, sid: str) -> Receipt:
        """How a call fares, for when its callback never came."""
        return _receipt(await self._account.ask(self._account.client.calls(sid).fetch_async()))

    async def close(self) -> None:
        """Close the connections to Twilio."""
        await self._account.close()


def _receipt(call: Any) -> Receipt:
    return receipt(call.sid, call.status, call.answered_by or "")


def receipt(sid: str, status: str, answered_by: str) -> Receipt:
    """What a call's status means. That a person hears it is known before, when what is read is fetched."""
    if status in _FAILED:
        return Receipt(sid, "failed", status)
    if status == "completed":
        return Receipt(sid, "failed", MACHINE if answerer(answered_by) == "machine" else HUNG_UP)
    return Receipt(sid)


def answerer(answered_by: str) -> Answerer:
    """Who has answered, from Twilio's ``AnsweredBy``: ``human``, ``machine_start``, ``fax``, ``unknown`` or nothing."""
    if answered_by == "human":
        return "person"
    return "machine" if answered_by.startswith(("machine", "fax")) else "unknown"
