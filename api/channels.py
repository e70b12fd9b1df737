"""By what this service reaches people, as its settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from alerts.channels import Channel, ChannelName
from alerts.channels.email import PROVIDER as SMTP
from alerts.channels.email import EmailChannel, MailServer
from alerts.channels.fallback import FIRST, WithFallback
from alerts.channels.gateway_sms import GatewaySms
from alerts.channels.push import PROVIDER as WEB_PUSH
from alerts.channels.push import PushChannel
from alerts.channels.sms import SmsChannel
from alerts.channels.voice import VoiceChannel
from api.settings import Settings
from store import contacts
from store.postgres import Connection, Database

log = structlog.get_logger(__name__)


def open_channels(settings: Settings, database: Database, clock: Callable[[], datetime]) -> dict[ChannelName, Channel]:
    """Every channel that is set up. Nothing is connected until something is sent; each has to be closed."""
    opened: dict[ChannelName, Channel | None] = {
        "sms": _sms(settings, clock),
        "voice": _voice(settings, clock),
        "push": _push(settings, database, clock),
        "email": _email(settings, clock),
    }
    if opened["sms"] is None and opened["voice"] is None:
        log.warning(
            "no_telephone",
            hint="set HEARTHWATCH_TWILIO_ACCOUNT_SID, _AUTH_TOKEN and _FROM, or HEARTHWATCH_SMS_GATEWAY: "
            "nobody is called by telephone until then",
        )
    return {name: channel for name, channel in opened.items() if channel is not None}


async def announce(c: Connection, channels: Mapping[ChannelName, Channel], now: datetime) -> None:
    """Write down by what people can be reached from now on."""
    await contacts.set_channels(c, {name: _providers(channel) for name, channel in channels.items()}, now)


def _sms(settings: Settings, clock: Callable[[], datetime]) -> Channel | None:
    first = SmsChannel(*_account(settings), clock=clock) if settings.has_telephone else None
    second = GatewaySms.read(settings.sms_gateway, clock=clock) if settings.sms_gateway else None
    if first is None or second is None:
        return first or second
    return WithFallback(first, second, clock=clock)


def _voice(settings: Settings, clock: Callable[[], datetime]) -> Channel | None:
    return VoiceChannel(*_account(settings), clock=clock) if settings.has_telephone else None


def _account(settings: Settings) -> tuple[str, str, str, str, str | None]:
    account, token, number = settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_from
    assert account is not None
    assert token is not None
    assert number is not None
    return account, token.get_secret_value(), number, settings.public_url, settings.twilio_base_url


def _push(settings: Settings, database: Database, clock: Callable[[], datetime]) -> Channel | None:
    if settings.push_keys is None or settings.push_contact is None:
        return None
    return PushChannel(database, settings.push_keys, settings.push_contact, settings.push_hosts, clock=clock)


def _email(settings: Settings, clock: Callable[[], datetime]) -> Channel | None:
    if settings.smtp_host is None or settings.email_from is None:
        return None
    password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
    server = MailServer(settings.smtp_host, settings.smtp_port, settings.smtp_security, settings.smtp_user, password)
    return EmailChannel(server, settings.email_from, clock=clock)


def _providers(channel: Channel) -> list[str]:
    match channel:
        case WithFallback():
            return [FIRST, channel.second]
        case GatewaySms():
            return [channel.name]
        case PushChannel():
            return [WEB_PUSH]
        case EmailChannel():
            return [SMTP]
        case _:
            return [FIRST]
