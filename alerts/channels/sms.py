"""SMS through Twilio."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from alerts.channels import Outcome, Receipt, utc_now
from alerts.channels.twilio_account import PAGE, TwilioAccount
from store.messages import MessageRow

STATUS_PATH: Final = "/webhooks/twilio/status"
_LOOK_BACK: Final = timedelta(minutes=1)
"""Twilio's clock is not ours, and its times are whole seconds."""
_VALIDITY_S: Final = (6, 36_000)
"""Twilio takes 1 to 36,000 s and recommends more than 5."""

_STATES: Final[dict[str, Outcome]] = {
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}


class SmsChannel:
    """Sends SMS from one number of one Twilio account. To be used within one event loop.

    ``public_url`` is where Twilio reaches this service. ``base_url`` replaces ``https://api.twilio.com``, for
    a stand-in. ``clock`` says how long a message is still good for.
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
        self._status_callback = public_url.rstrip("/") + STATUS_PATH
        self._account = TwilioAccount(account_sid, auth_token, base_url)
        self._clock = clock

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to Twilio. Raises a :class:`~alerts.channels.SendError`."""
        left_s = math.floor((message.expires_at - self._clock()).total_seconds())
        sent = await self._account.ask(
            self._account.client.messages.create_async(
                to=message.address,
                from_=self._from,
                body=message.body,
                # With its number in the address, a callback tells of a message whose answer was lost.
                status_callback=f"{self._status_callback}/{message.id}",
                validity_period=min(max(left_s, _VALIDITY_S[0]), _VALIDITY_S[1]),
            )
        )
        return _receipt(sent)

    async def find(self, message: MessageRow) -> list[Receipt]:
        """What Twilio has that could be this message, newest first: to this number, these words, since it was tried.

        The words bear the code of the conversation. Searched by number alone: a message that still waits in
        Twilio's queue has no ``DateSent`` yet.
        """
        since = (message.sending_at or message.created_at) - _LOOK_BACK
        return await self._account.ask(self._same(message, since.replace(microsecond=0)))

    async def _same(self, message: MessageRow, since: datetime) -> list[Receipt]:
        found: list[Receipt] = []
        async for sms in await self._account.client.messages.stream_async(to=message.address, page_size=PAGE):
            if sms.date_created is not None and sms.date_created < since:
                break
            if sms.body == message.body:
                found.append(_receipt(sms))
        return found

    async def status(self, sid: str) -> Receipt:
        """How a message fares, for when its callback never came."""
        return _receipt(await self._account.ask(self._account.client.messages(sid).fetch_async()))

    async def close(self) -> None:
        """Close the connections to Twilio."""
        await self._account.close()


def _receipt(sms: Any) -> Receipt:
    outcome = outcome_of(sms.status) or "sent"
    return Receipt(sms.sid, outcome, str(sms.error_code or sms.status) if outcome == "failed" else None)


def outcome_of(status: str) -> Outcome | None:
    """What a status of Twilio's means for us; ``None`` while it is on its way: ``sent`` is not delivered."""
    return _STATES.get(status)
