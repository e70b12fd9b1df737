"""SMS through Twilio's own Python client.

What each error means is in Twilio's list (https://www.twilio.com/docs/api/errors). Twilio has no idempotency
key, so a send without an answer is looked up among what was sent to that number before it is repeated.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from alerts.channels import Outcome, Receipt, SendError, TryAgain, Uncertain, Unreachable
from store.messages import MessageRow

log = structlog.get_logger(__name__)

T = TypeVar("T")

STATUS_PATH: Final = "/webhooks/twilio/status"
SEND_TIMEOUT_S: Final = 8.0
"""From the first byte to the last: a sender that hangs longer has lost its answer."""
_LOOK_BACK: Final = timedelta(minutes=1)
"""Twilio's clock is not ours, and its times are whole seconds."""
_PAGE: Final = 200
_VALIDITY_S: Final = (6, 36_000)
"""Twilio takes 1 to 36,000 s and recommends more than 5."""

_OURS: Final = frozenset({20003, 20005, 21606, 21608, 21659, 21660})
"""The account, its secret or its number is wrong: a fault of the installation and not of the person's phone."""
_BUSY: Final = frozenset({14107, 20429, 30001, 30022})
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
    a stand-in.
    """

    def __init__(
        self, account_sid: str, auth_token: str, from_: str, public_url: str, base_url: str | None = None
    ) -> None:
        self._from = from_
        self._status_callback = public_url.rstrip("/") + STATUS_PATH
        self._base_url = base_url
        self._credentials = (account_sid, auth_token)
        self._client: Client | None = None

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to Twilio. Raises a :class:`~alerts.channels.SendError`."""
        left_s = math.floor((message.expires_at - datetime.now(UTC)).total_seconds())
        sent = await self._ask(
            self._twilio.messages.create_async(
                to=message.phone,
                from_=self._from,
                body=message.body,
                status_callback=self._status_callback,
                validity_period=min(max(left_s, _VALIDITY_S[0]), _VALIDITY_S[1]),
            )
        )
        return _receipt(sent)

    async def find(self, message: MessageRow) -> list[Receipt]:
        """What Twilio has that could be this message, newest first: to this number, these words, since it was tried.

        Searched by number alone: a message that still waits in Twilio's queue has no ``DateSent`` yet.
        """
        since = (message.sending_at or message.created_at) - _LOOK_BACK
        return await self._ask(self._same(message, since.replace(microsecond=0)))

    async def _same(self, message: MessageRow, since: datetime) -> list[Receipt]:
        found: list[Receipt] = []
        async for sms in await self._twilio.messages.stream_async(to=message.phone, page_size=_PAGE):
            if sms.date_created is not None and sms.date_created < since:
                break
            if sms.body == message.body:
                found.append(_receipt(sms))
        return found

    async def status(self, sid: str) -> Receipt:
        """How a message fares, for when its callback never came."""
        return _receipt(await self._ask(self._twilio.messages(sid).fetch_async()))

    async def close(self) -> None:
        """Close the connections to Twilio."""
        if self._client is not None:
            await self._client.http_client.close()
            self._client = None

    @property
    def _twilio(self) -> Client:
        if self._client is None:  # aiohttp's session must be made inside the loop that uses it
            self._client = Client(*self._credentials, http_client=_HttpClient(self._base_url))
        return self._client

    async def _ask(self, request: Awaitable[T]) -> T:
        try:
            return await request
        except (TwilioRestException, TwilioServiceException) as error:
            raise _meaning(error) from error
        except TwilioException as error:  # a list that is refused says so in words alone
            raise TryAgain("refused", str(error)) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise TryAgain("no_connection", str(error)) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Uncertain("no_answer", str(error) or type(error).__name__) from error


class _HttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's own client with a time limit on every request (it has none) and, for a stand-in, another address."""

    def __init__(self, base_url: str | None) -> None:
        super().__init__(timeout=SEND_TIMEOUT_S)
        self._base = urlsplit(base_url) if base_url else None

    async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        if self._base is not None:
            parts = urlsplit(url)
            url = urlunsplit(parts._replace(scheme=self._base.scheme, netloc=self._base.netloc))
        if credentials := kwargs.pop("auth", None):
            kwargs["headers"] |= {"Authorization": aiohttp.encode_basic_auth(*credentials)}
        kwargs["timeout"] = kwargs.get("timeout") or self.timeout
        async with asyncio.timeout(SEND_TIMEOUT_S):
            return await super().request(method, url, *args, **kwargs)


def _meaning(error: TwilioRestException | TwilioServiceException) -> SendError:
    code = int(error.code or error.status)
    words = str(getattr(error, "msg", None) or getattr(error, "detail", None) or error)
    if code in _OURS or error.status in (401, 403):
        log.error("twilio_refuses_this_service", code=code, error=words)
        return TryAgain(str(code), words)
    if error.status in (502, 504):  # said by something in between: Twilio itself may have it
        return Uncertain(str(code), words)
    if code in _BUSY or error.status == 429 or error.status >= 500:
        return TryAgain(str(code), words)
    return Unreachable(str(code), words)


def _receipt(sms: Any) -> Receipt:
    outcome = outcome_of(sms.status) or "sent"
    return Receipt(sms.sid, outcome, str(sms.error_code or sms.status) if outcome == "failed" else None)


def outcome_of(status: str) -> Outcome | None:
    """What a status of Twilio's means for us; ``None`` while it is on its way: ``sent`` is not delivered."""
    return _STATES.get(status)
