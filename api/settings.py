"""What an administrator sets, read from the environment: every name begins with ``HEARTHWATCH_``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from alerts.channels.gateway_sms import GatewaySms
from alerts.channels.push import PushKeys

DEFAULT_PORT = 8000
PUSH_SERVICES = ("fcm.googleapis.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com")
"""Where the browsers of Google, Mozilla, Microsoft and Apple listen: nobody can have this service send elsewhere."""


class Settings(BaseSettings):
    """The service's settings. ``twilio_base_url`` is ``None`` for Twilio itself, else a stand-in's address.

    ``sms_gateway`` is the file of a gateway for SMS (docs/operating.md), the second provider beside Twilio or the only
    one. ``push_services`` are the hosts, with what lies under them, at which browsers may listen for messages.
    ``sms_per_s`` and ``voice_per_s`` are what its number may send a second: 1 for an ordinary one at Twilio; what can
    wait is held to that. ``heartbeat_phone`` is a telephone that nobody in the record has, to which a probe goes every
    ``heartbeat_every_s``; ``heartbeat_url`` is told of each that arrived (a dead-man's switch outside).
    """

    model_config = SettingsConfigDict(env_prefix="HEARTHWATCH_", frozen=True, extra="ignore")

    database_url: Annotated[str, Field(repr=False)]
    public_url: str = f"http://127.0.0.1:{DEFAULT_PORT}"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from: str | None = None
    twilio_base_url: str | None = None
    sms_gateway: Path | None = None
    push_private_key: SecretStr | None = None
    push_contact: str | None = None
    push_services: str = ",".join(PUSH_SERVICES)
    smtp_host: str | None = None
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    email_from: str | None = None
    sms_per_s: Annotated[float, Field(gt=0)] = 1.0
    voice_per_s: Annotated[float, Field(gt=0)] = 1.0
    heartbeat_phone: str | None = None
    heartbeat_every_s: Annotated[float, Field(ge=30, le=86_400)] = 300.0
    heartbeat_url: str | None = None
    log_json: bool = False
    watch: bool = True
    watch_lease_s: Annotated[float, Field(ge=0.3, le=60)] = 1.0
    dispatch: bool = True
    database_connections: Annotated[int, Field(ge=2, le=200)] = 8

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError(
                "must be where people reach the service, such as https://hearthwatch.example, without a path"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _telephone_is_whole(self) -> Self:
        given = (self.twilio_account_sid, self.twilio_auth_token, self.twilio_from)
        if any(given) and not all(given):
            raise ValueError("twilio_account_sid, twilio_auth_token and twilio_from are set together or not at all")
        return self

    @field_validator("heartbeat_phone")
    @classmethod
    def _is_a_number(cls, phone: str | None) -> str | None:
        if phone is not None and not re.fullmatch(r"\+[1-9][0-9]{6,14}", phone):
            raise ValueError("must be a telephone number with its country, such as +8613900000000")
        return phone

    @field_validator("push_private_key")
    @classmethod
    def _is_a_push_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            PushKeys.parse(key.get_secret_value())
        return key

    @field_validator("sms_gateway")
    @classmethod
    def _is_a_gateway(cls, path: Path | None) -> Path | None:
        if path is not None:
            GatewaySms.read(path)
        return path

    @field_validator("push_contact")
    @classmethod
    def _is_a_contact(cls, contact: str | None) -> str | None:
        if contact and not contact.startswith(("mailto:", "https://")):
            raise ValueError("must be where push services reach you, such as mailto:office@hearthwatch.example")
        return contact

    @model_validator(mode="after")
    def _push_and_mail_are_whole(self) -> Self:
        if (self.push_private_key is None) != (self.push_contact is None):
            raise ValueError("push_private_key (see 'hearthwatch push-keys') and push_contact are set together")
        if (self.smtp_host is None) != (self.email_from is None):
            raise ValueError("smtp_host and email_from are set together or not at all")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("smtp_user and smtp_password are set together or not at all")
        return self

    @property
    def push_keys(self) -> PushKeys | None:
        """The service's name at push services, if it sends to browsers."""
        return PushKeys.parse(self.push_private_key.get_secret_value()) if self.push_private_key else None

    @property
    def push_hosts(self) -> tuple[str, ...]:
        """``push_services``, one by one."""
        return tuple(host.strip() for host in self.push_services.split(",") if host.strip())

    @property
    def has_telephone(self) -> bool:
        """Whether messages can be sent at all."""
        return self.twilio_account_sid is not None

    @property
    def is_proved(self) -> bool:
        """Whether a probe is to prove again and again that an alert reaches a person."""
        return self.dispatch and self.heartbeat_phone is not None
