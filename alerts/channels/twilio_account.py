"""One account at Twilio, asked by its own Python client: what the SMS and the voice channel share.

What each error means is in Twilio's list (https://www.twilio.com/docs/api/errors). Twilio has no idempotency
key, so a request without an answer is looked up among what it has for that number before it is repeated.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from alerts.channels import SEND_TIMEOUT_S, SendError, TryAgain, Uncertain, Unreachable

log = structlog.get_logger(__name__)

T = TypeVar("T")

PAGE: Final = 200
"""How many of what was sent are asked for at once."""
_OURS: Final = frozenset({20003, 20005, 21210, 21212, 21219, 21606, 21608, 21659, 21660})
"""The account, its secret or its number is wrong: a fault of the installation and not of the person's phone."""
_BUSY: Final = frozenset({14107, 20429, 30001, 30022})
_PHONE: Final = re.compile(r"\+[0-9]{5,15}")
"""Twilio repeats the number it refuses; a person's is kept out of the log."""
_LONGEST_PAUSE_S: Final = 300.0
"""A provider that asks for a longer pause is asked again after this one: an alert cannot wait for it."""


class TwilioAccount:
    """The account's client. To be used within one event loop.

    ``base_url`` replaces ``https://api.twilio.com``, for a stand-in.
    """

    def __init__(self, account_sid: str, auth_token: str, base_url: str | None = None) -> None:
        self._credentials = (account_sid, auth_token)
        self._base_url = base_url
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """Twilio's own client."""
        if self._client is None:  # aiohttp's session must be made inside the loop that uses it
            self._client = Client(*self._credentials, http_client=_HttpClient(self._base_url))
        return self._client

    async def ask(self, request: Awaitable[T]) -> T:
        """The answer to a request of :attr:`client`'s. Raises a :class:`~alerts.channels.SendError`."""
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

    async def close(self) -> None:
        """Close the connections to Twilio."""
        if self._client is not None:
            await self._client.http_client.close()
            self._client = None


class _HttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's own client with a time limit on every request (it has none) and, for a stand-in, another address.

    Its errors do not tell how long a busy Twilio wants to be left alone, so that is read here.
    """

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
            answer = await super().request(method, url, *args, **kwargs)
        if answer.status_code == 429:
            raise TryAgain("20429", "Twilio has too much to do", _pause_s(answer.headers.get("Retry-After")))
        return answer


def _pause_s(retry_after: str | None) -> float | None:
    """The seconds of a ``Retry-After``; Twilio does not use its other form, a date."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return min(float(retry_after), _LONGEST_PAUSE_S)


def _meaning(error: TwilioRestException | TwilioServiceException) -> SendError:
    code = int(error.code or error.status)
    words = _PHONE.sub("+…", str(getattr(error, "msg", None) or getattr(error, "detail", None) or error))
    if code in _OURS or error.status in (401, 403):
        log.error("twilio_refuses_this_service", code=code, error=words)
        return TryAgain(str(code), words)
    if error.status in (502, 504):  # said by something in between: Twilio itself may have it
        return Uncertain(str(code), words)
    if code in _BUSY or error.status >= 500:
        return TryAgain(str(code), words)
    return Unreachable(str(code), words)
