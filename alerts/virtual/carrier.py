"""Carries messages: from the account to phones, as long as that takes, and what is typed on phones back to the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from alerts.virtual import twiml
from alerts.virtual.callbacks import Callbacks, Post
from alerts.virtual.changes import Changes
from alerts.virtual.network import Network, Sms
from alerts.virtual.refusals import EXPIRED
from alerts.virtual.resources import API_VERSION

log = structlog.get_logger(__name__)

_RETRIES_S: Final = (0.5, 1.5, 3.0)
_UNREACHABLE: Final = 11200
"""Twilio's code for a webhook that cannot be reached."""


class Carrier:
    """``leg_s`` is how long each leg of a message's way takes, ``replies_to`` where the service takes replies."""

    def __init__(
        self,
        network: Network,
        post: Post,
        clock: Callable[[], datetime],
        changes: Changes,
        leg_s: float,
        replies_to: str,
    ) -> None:
        self._network = network
        self._post = post
        self._clock = clock
        self._changes = changes
        self._leg_s = leg_s
        self._replies_to = replies_to

    async def deliver(self, sms: Sms) -> None:
        """From the queue to the phone, or to where it is lost."""
        self._changes.tell()
        callbacks = Callbacks(self._post, self._network.faults.take("callback", "sms", sms.to))
        await self._call_back(sms, callbacks)
        await asyncio.sleep(self._leg_s)
        sms.sent_at = self._clock()
        await self._step(sms, "sent", callbacks)
        await asyncio.sleep(self._leg_s)
        sms.error_code = await self._arrives(sms)
        await self._step(sms, "delivered" if sms.error_code is None else "undelivered", callbacks)
        await callbacks.end()

    async def _arrives(self, sms: Sms) -> int | None:
        """Wait until the phone has it; the error code when it does not arrive."""
        fault = self._network.faults.take("delivery", "sms", sms.to)
        if fault and fault.error_code:
            return fault.error_code
        while self._network.habit(sms.to).sms == "hold":
            sms.held = True
            await self._changes.next()
        if sms.held and (self._clock() - sms.created_at).total_seconds() > sms.validity_s:
            return EXPIRED
        kind = self._network.habit(sms.to).sms
        return int(kind) if kind.isdecimal() else None

    async def _step(self, sms: Sms, status: str, callbacks: Callbacks) -> None:
        sms.status, sms.updated_at, sms.held = status, self._clock(), False
        self._changes.tell()
        await self._call_back(sms, callbacks)

    async def _call_back(self, sms: Sms, callbacks: Callbacks) -> None:
        if sms.status_callback is None:
            return
        params = {
            "AccountSid": self._network.account,
            "ApiVersion": API_VERSION,
            "From": sms.from_,
            "To": sms.to,
            "MessageSid": sms.sid,
            "MessageStatus": sms.status,
            "SmsSid": sms.sid,
            "SmsStatus": sms.status,
        }
        if sms.error_code is not None:
            params["ErrorCode"] = str(sms.error_code)
        await callbacks.tell(sms.status_callback, params)

    async def hand_in(self, number: str, body: str) -> Sequence[str] | None:
        """Somebody writes to the account: what the service answered, or ``None`` when it took nothing."""
        sms = self._network.receive(number, body, self._clock())
        self._changes.tell()
        params = {
            "AccountSid": self._network.account,
            "ApiVersion": API_VERSION,
            "Body": body,
            "From": number,
            "To": self._network.number,
            "MessageSid": sms.sid,
            "SmsMessageSid": sms.sid,
            "SmsSid": sms.sid,
            "SmsStatus": "received",
            "NumMedia": "0",
            "NumSegments": str(sms.segments),
        }
        fault = self._network.faults.take("callback", "sms", number)
        answers = [await self._hand_over(params) for _ in range(2 if fault and fault.kind == "duplicate" else 1)]
        if all(answer is None for answer in answers):
            sms.status, sms.error_code = "failed", _UNREACHABLE
            self._changes.tell()
            return None
        said = [] if number in self._network.opted_out else [text for answer in answers for text in _said(answer)]
        for text in said:
            self._network.answer(number, text, self._clock())
        self._changes.tell()
        return said

    async def _hand_over(self, params: dict[str, str]) -> str | None:
        """Deliver a reply, again after a pause when the service is away, as a number set up with ``#rc=3`` does."""
        for pause_s in _RETRIES_S:
            if (answer := await self._post(self._replies_to, params)) is not None:
                return answer
            await asyncio.sleep(pause_s)
        return await self._post(self._replies_to, params)


def _said(answer: str | None) -> list[str]:
    """The texts of an answer to a reply; none where Twilio could not read it."""
    try:
        return twiml.messages(answer or "")
    except twiml.TwimlError as error:
        log.warning("twiml_not_readable", error=str(error))
        return []
