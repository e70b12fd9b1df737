"""E-mail by SMTP. That the server has taken it is the last that is heard of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from types import MappingProxyType
from typing import Final, Literal

import aiosmtplib
import structlog

from alerts.channels import SEND_TIMEOUT_S, Receipt, SendError, TryAgain, Uncertain, Unreachable, utc_now
from alerts.unreachable import DEAD
from store.messages import MessageRow

log = structlog.get_logger(__name__)

PROVIDER: Final = "smtp"
Security = Literal["starttls", "tls", "none"]

_TITLE: Final = MappingProxyType({"zh_Hans": "炉望", "en": "Hearthwatch"})
_LANGUAGE: Final = MappingProxyType({"zh_Hans": "zh-CN", "en": "en-GB"})
_DEAD: Final = re.compile(r"\b5\.(1\.[1236]|2\.1)\b")
"""Enhanced codes of an address that does not exist, has moved, or is closed (RFC 3463)."""
_DEAD_PLAIN: Final = (550, 551, 553)
"""What a server without enhanced codes says of an address it does not know (RFC 5321, 4.2.3)."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed in. ``tls`` from the first byte, ``starttls`` after greeting, ``none`` on this machine only."""

    host: str
    port: int
    security: Security = "starttls"
    user: str | None = None
    password: str | None = None


class EmailChannel:
    """Sends e-mail from one address, such as ``Hearthwatch <alerts@centre.example>``."""

    confirms = False

    def __init__(self, server: MailServer, from_: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._server = server
        self._from = from_
        self._sender = parseaddr(from_)[1]
        self._clock = clock

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to the mail server. Raises a :class:`~alerts.channels.SendError`."""
        mail = self._mail(message)
        stage = "before"
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S), self._client() as client:
                await client.mail(self._sender)
                await client.rcpt(message.address)
                stage = "during"
                await client.data(mail.as_bytes())
                stage = "after"
        except aiosmtplib.SMTPResponseException as error:
            raise _meaning(error) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            if stage == "before":
                raise TryAgain("no_connection", type(error).__name__) from error
            if stage == "during":
                raise Uncertain("no_answer", type(error).__name__) from error
            # The server has taken it: a farewell that is lost loses nothing.
        return Receipt(mail["Message-ID"], provider=PROVIDER)

    async def find(self, message: MessageRow) -> list[Receipt]:
        """A mail server keeps no list that could be asked."""
        return []

    async def status(self, sid: str) -> Receipt:
        """Nobody knows more."""
        return Receipt(sid, provider=PROVIDER)

    async def close(self) -> None:
        """There is nothing to close: every e-mail has a connection of its own."""

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            username=server.user,
            password=server.password,
            timeout=SEND_TIMEOUT_S,
        )

    def _mail(self, message: MessageRow) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._from
        mail["To"] = message.address
        mail["Subject"] = " ".join(message.subject.split()) or _TITLE[message.language]
        mail["Date"] = format_datetime(self._clock())
        # The same each time: a second copy is known for one.
        mail["Message-ID"] = f"<message-{message.id}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = _LANGUAGE[message.language]
        if message.priority == "high":
            mail["Importance"] = "high"
            mail["X-Priority"] = "1"
        mail.set_content(message.body, cte="base64")  # any server takes it, whatever the alphabet
        return mail


def _meaning(error: aiosmtplib.SMTPResponseException) -> SendError:
    code, words = error.code, str(error.message)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPSenderRefused):
        log.error("mail_server_refuses_this_service", code=code)
        return TryAgain(str(code), "the mail server refuses this service")
    if code < 500:
        return TryAgain(str(code), "the mail server asks to try again later")
    is_plain = re.search(r"\b\d\.\d{1,3}\.\d{1,3}\b", words) is None
    if isinstance(error, aiosmtplib.SMTPRecipientRefused) and (
        _DEAD.search(words) or (is_plain and code in _DEAD_PLAIN)
    ):
        return Unreachable(DEAD, "the mail server knows no such address")
    return Unreachable(str(code), "the mail server refuses the message")
