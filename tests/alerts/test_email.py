"""E-mail: what the mail server gets, and what each of its answers means for the person."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from alerts.channels import Receipt, SendError, TryAgain, Uncertain, Unreachable
from alerts.channels.email import EmailChannel, MailServer
from store.messages import MessageRow
from tests.alerts.clock import Clock
from tests.alerts.messages import NOW, to_send
from tests.alerts.network import free_port

pytestmark = pytest.mark.anyio

LI = "li.na@centre.example"


@dataclass
class Post:
    """A mail server in this loop. ``rcpt``, ``data`` are what it answers instead of taking it."""

    port: int
    rcpt: str = ""
    data: str = ""
    hangs: bool = False
    password: str = ""
    got: list[tuple[Envelope, EmailMessage]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the server's own name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        if self.hangs:
            server.transport.abort()
            await asyncio.sleep(0)
        if self.data:
            return self.data
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.got.append((envelope, mail))
        return "250 Message accepted for delivery"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
        return AuthResult(success=given.password == self.password.encode(), handled=False)


@asynccontextmanager
async def post(**kwargs: Any) -> AsyncIterator[Post]:
    made = Post(free_port(), **kwargs)

    def session() -> SMTP:
        auth = {"authenticator": made.authenticate, "auth_require_tls": False} if made.password else {}
        return SMTP(made, enable_SMTPUTF8=True, **auth)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", made.port)
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


def channel(port: int, **server: Any) -> EmailChannel:
    sends_by = MailServer("127.0.0.1", port, "none", **server)
    return EmailChannel(sends_by, "炉望 <alerts@centre.example>", clock=Clock(NOW))


def message(**different: object) -> MessageRow:
    return to_send(
        **{"channel": "email", "address": LI, "subject": "王秀英：疑似跌倒", "body": "请打开页面。\n", **different}
    )


async def test_a_mail_says_who_it_is_from_and_that_a_machine_wrote_it() -> None:
    async with post() as server:
        sent = await channel(server.port).send(message())
    [(envelope, mail)] = server.got
    assert sent == Receipt("<message-41@centre.example>", provider="smtp")
    assert (envelope.mail_from, envelope.rcpt_tos) == ("alerts@centre.example", [LI])
    assert mail["Subject"] == "王秀英：疑似跌倒"
    assert mail["From"] == "炉望 <alerts@centre.example>"
    assert mail["Message-ID"] == sent.sid
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert mail["Date"].datetime == NOW
    assert mail.get_content().splitlines() == ["请打开页面。"]
    assert envelope.content.isascii()


async def test_a_name_with_a_line_break_makes_no_header_of_its_own() -> None:
    async with post() as server:
        await channel(server.port).send(message(subject="Fall\r\nBcc: everybody@evil.example", priority="low"))
    [(envelope, mail)] = server.got
    assert envelope.rcpt_tos == [LI]
    assert mail["Bcc"] is None
    assert mail["Importance"] is None


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ("550 5.1.1 no such user", Unreachable, "dead"),
        ("550 no such user here", Unreachable, "dead"),
        ("553 5.1.3 bad address", Unreachable, "dead"),
        ("550 5.2.1 mailbox disabled", Unreachable, "dead"),
        ("550 5.7.1 relaying denied", Unreachable, "550"),
        ("552 5.2.2 mailbox full", Unreachable, "552"),
        ("450 4.2.1 mailbox busy", TryAgain, "450"),
        ("421 4.3.2 going down", TryAgain, "421"),
    ],
)
async def test_what_the_server_says_of_the_address(answer: str, kind: type[SendError], code: str) -> None:
    async with post(rcpt=answer) as server:
        with pytest.raises(kind) as refused:
            await channel(server.port).send(message())
    assert refused.value.code == code
    assert LI not in str(refused.value), "what is logged names nobody"


@pytest.mark.parametrize(("answer", "kind"), [("554 5.6.0 refused", Unreachable), ("451 4.3.0 later", TryAgain)])
async def test_what_the_server_says_of_the_message(answer: str, kind: type[SendError]) -> None:
    async with post(data=answer) as server:
        with pytest.raises(kind):
            await channel(server.port).send(message())


async def test_a_server_that_is_away_has_surely_not_got_it() -> None:
    with pytest.raises(TryAgain, match="no_connection"):
        await channel(free_port()).send(message())


async def test_a_server_that_falls_silent_with_the_message_in_hand_may_have_it() -> None:
    async with post(hangs=True) as server:
        with pytest.raises(Uncertain, match="no_answer"):
            await channel(server.port).send(message())
        assert await channel(server.port).find(message()) == []


async def test_it_signs_in_and_a_wrong_password_is_no_fault_of_the_person() -> None:
    async with post(password="right") as server:
        await channel(server.port, user="alerts", password="right").send(message())
        with pytest.raises(TryAgain, match="535"):
            await channel(server.port, user="alerts", password="wrong").send(message())
    assert len(server.got) == 1
