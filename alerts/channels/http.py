"""HTTP to a provider: what its failures mean for a message."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from alerts.channels import SEND_TIMEOUT_S, TryAgain, Uncertain

_LONGEST_PAUSE_S: Final = 300.0
"""A provider that asks for a longer pause is asked again after this one: an alert cannot wait for it."""


async def ask(client: httpx.AsyncClient, request: httpx.Request, *, repeatable: bool = False) -> httpx.Response:
    """The answer to a request. Raises :class:`TryAgain` when it surely did not arrive, else :class:`Uncertain`.

    ``repeatable``: nobody notices when it arrives twice, so whatever fails is simply tried again.
    """
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            return await client.send(request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        raise TryAgain("no_connection", str(error) or type(error).__name__) from error
    except (httpx.HTTPError, TimeoutError) as error:
        kind = TryAgain if repeatable else Uncertain
        raise kind("no_answer", str(error) or type(error).__name__) from error


def retry_after_s(response: httpx.Response, now: datetime) -> float | None:
    """How many seconds the provider asks to wait (RFC 9110, 10.2.3); ``None`` when it does not say."""
    said = response.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), _LONGEST_PAUSE_S)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_PAUSE_S)
