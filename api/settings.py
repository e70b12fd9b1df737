"""What an administrator sets, read from the environment: every name begins with ``HEARTHWATCH_``."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_PORT = 8000


class Settings(BaseSettings):
    """The service's settings. ``twilio_base_url`` is ``None`` for Twilio itself, else a stand-in's address."""

    model_config = SettingsConfigDict(env_prefix="HEARTHWATCH_", frozen=True, extra="ignore")

    database_url: Annotated[str, Field(repr=False)]
    public_url: str = f"http://127.0.0.1:{DEFAULT_PORT}"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from: str | None = None
    twilio_base_url: str | None = None
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

    @property
    def has_telephone(self) -> bool:
        """Whether messages can be sent at all."""
        return self.twilio_account_sid is not None
