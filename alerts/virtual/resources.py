"""What the resources of Twilio's API have in common: how numbers, times, addresses and lists are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from alerts.virtual.refusals import Refused

API_VERSION: Final = "2010-04-01"
E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")

utc_now: Final = partial(datetime.now, UTC)
"""The network's clock, unless it is given another."""


def rfc2822(moment: datetime | None) -> str | None:
    """A time as Twilio writes it: ``Thu, 24 Aug 2023 05:01:45 +0000``."""
    return None if moment is None else format_datetime(moment.astimezone(UTC))


def callback_of(form: Mapping[str, str], name: str) -> str | None:
    """An address of the service's in a request; ``None`` when it is not there or no address."""
    parts = urlsplit(form.get(name, ""))
    return form[name] if parts.scheme in ("http", "https") and parts.hostname else None


def check_callback(form: Mapping[str, str]) -> None:
    """Raise :class:`~alerts.virtual.refusals.Refused` for a ``StatusCallback`` that cannot be called."""
    if form.get("StatusCallback") and callback_of(form, "StatusCallback") is None:
        raise Refused(21609)


def whole_number(form: Mapping[str, str], name: str, within: range) -> None:
    """Raise :class:`~alerts.virtual.refusals.Refused` for a number that is given and out of range."""
    given = form.get(name)
    if given is not None and (not given.isdecimal() or int(given) not in within):
        raise Refused(20422, f"{name} must be between {within[0]} and {within[-1]}")
