"""Web Push (RFC 8030): to every browser in which a person has let messages in, readable by it alone (RFC 8291).

A push service says that it has taken a message, not that anybody saw it; the browser itself does, at ``ANSWER_PATH``,
with a token that only the message holds. There it also takes an alert or passes it on, from the notification itself.

Whatever fails is simply tried again: a message's number is its topic at the push service and its tag in the browser, so
a second one takes the place of the first.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02
from pywebpush import WebPusher

from alerts.channels import Receipt, SendError, TryAgain, Unreachable, utc_now
from alerts.channels.http import ask, retry_after_s
from store import contacts
from store.contacts import Subscription
from store.messages import MessageRow
from store.postgres import Database

log = structlog.get_logger(__name__)

ANSWER_PATH: Final = "/push"
PROVIDER: Final = "web_push"
_TITLE: Final = MappingProxyType({"zh_Hans": "炉望", "en": "Hearthwatch"})
_LANGUAGE: Final = MappingProxyType({"zh_Hans": "zh-CN", "en": "en-GB"})
_BUTTONS: Final = MappingProxyType({"zh_Hans": ("我去", "去不了"), "en": ("I'll go", "I can't")})
"""What the keys 1 and 2 mean, as on the telephone."""
_URGENCY: Final = MappingProxyType({"high": "high", "medium": "normal", "low": "low"})
"""RFC 8030, 5.3: high wakes a phone whatever its battery."""
_SIGNED_FOR: Final = timedelta(hours=12)
"""RFC 8292 allows a day."""
_GONE: Final = (404, 410)
_KEY_BYTES: Final = 32
_POINT_BYTES: Final = 65
_SECRET_BYTES: Final = 16


class NoPushKey(ValueError):
    """This is no private key for Web Push."""


@dataclass(frozen=True, slots=True)
class PushKeys:
    """The service's key pair of P-256: its name at every push service (RFC 8292), in base64url without padding."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> Self:
        """A new pair. Browsers that listen for an old one have to be let in anew."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls.parse(_base64url(key.private_numbers().private_value.to_bytes(_KEY_BYTES, "big")))

    @classmethod
    def parse(cls, private: str) -> Self:
        """The pair of a private key. Raises :class:`NoPushKey`."""
        try:
            number = int.from_bytes(_bytes(private, _KEY_BYTES), "big")
            key = ec.derive_private_key(number, ec.SECP256R1())
        except ValueError as error:
            raise NoPushKey("this is no private key for Web Push; 'hearthwatch push-keys' makes one") from error
        point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return cls(private.strip().rstrip("="), _base64url(point))

    def token(self, message_id: int) -> str:
        """What proves that somebody holds this message."""
        secret = base64.urlsafe_b64decode(self.private + "=")
        return _base64url(hmac.digest(secret, b"push message %d" % message_id, hashlib.sha256)[:18])

    def is_token(self, message_id: int, token: str) -> bool:
        """Whether ``token`` is that of the message."""
        return hmac.compare_digest(token.encode(), self.token(message_id).encode())


class PushChannel:
    """Sends to browsers. ``contact`` is where push services reach the administrator, ``mailto:`` or ``https:``.

    ``services`` are the hosts, with what lies under them, to which it sends at all.
    """

    confirms = True

    def __init__(
        self,
        database: Database,
        keys: PushKeys,
        contact: str,
        services: Sequence[str],
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._keys = keys
        self._contact = contact
        self._services = tuple(services)
        self._clock = clock
        self._vapid = Vapid02.from_raw(keys.private.encode())
        self._client = httpx.AsyncClient()

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to the push services of all browsers of its person. One that takes it is enough."""
        async with self._database.service() as c:
            listening = await contacts.subscriptions(c, message.person_id)
        outcomes = await asyncio.gather(*(self._send_to(browser, message) for browser in listening))
        gone = [s.id for s, outcome in zip(listening, outcomes, strict=True) if isinstance(outcome, Unreachable)]
        if gone:
            log.info("push_subscription_gone", person=str(message.person_id), count=len(gone))
            async with self._database.service() as c:
                await contacts.forget_subscriptions(c, gone)
        if None in outcomes:
            return receipt(message.id)
        again = [outcome for outcome in outcomes if isinstance(outcome, TryAgain)]
        raise again[0] if again else Unreachable("no_browser", "no browser of this person listens any more")

    async def find(self, message: MessageRow) -> list[Receipt]:
        """Push services keep no list; sending again does no harm."""
        return []

    async def status(self, sid: str) -> Receipt:
        """Nobody but the browser knows more."""
        return Receipt(sid, provider=PROVIDER)

    def content(self, message: MessageRow) -> bytes:
        """What the browser gets to show: the words, how urgent they are, and where to answer."""
        content: dict[str, Any] = {
            "title": message.subject or _TITLE[message.language],
            "body": message.body,
            "language": _LANGUAGE[message.language],
            "tag": f"message-{message.id}",
            "urgent": message.priority == "high",
            "answer": f"{ANSWER_PATH}/{message.id}/{self._keys.token(message.id)}",
            "buttons": _BUTTONS[message.language] if message.purpose == "alert" else (),
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    async def close(self) -> None:
        """Close the connections to the push services."""
        await self._client.aclose()

    async def _send_to(self, browser: Subscription, message: MessageRow) -> SendError | None:
        """``None`` when its push service has taken it; :class:`Unreachable` when the browser is gone for good."""
        try:
            request = self._request(browser, message)
            response = await ask(self._client, request, repeatable=True)
        except SendError as error:
            return error
        if response.is_success:
            return None
        if response.status_code in _GONE:
            return Unreachable(str(response.status_code), "this browser listens no longer")
        if response.status_code in (401, 403):
            log.error("push_service_refuses_this_service", host=request.url.host, status=response.status_code)
        wait_s = retry_after_s(response, self._clock())
        return TryAgain(str(response.status_code), f"the push service {request.url.host} refuses", wait_s)

    def _request(self, browser: Subscription, message: MessageRow) -> httpx.Request:
        if not is_push_service(browser.endpoint, self._services):
            raise Unreachable("no_push_service", "this is no push service we know")
        keys = {"p256dh": browser.p256dh, "auth": browser.auth}
        encoded = WebPusher({"endpoint": browser.endpoint, "keys": keys}).encode(self.content(message))
        left_s = max(int((message.expires_at - self._clock()).total_seconds()), 0)
        headers = {
            **self._signature(browser.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(left_s),
            "Urgency": _URGENCY[message.priority],
            "Topic": f"message-{message.id}",
        }
        return self._client.build_request("POST", browser.endpoint, content=encoded["body"], headers=headers)

    def _signature(self, endpoint: str) -> Mapping[str, str]:
        parts = urlsplit(endpoint)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int((self._clock() + _SIGNED_FOR).timestamp()),
            "sub": self._contact,
        }
        signed: dict[str, str] = self._vapid.sign(claims)
        return signed


def receipt(message_id: int, *, shown: bool = False) -> Receipt:
    """What is known of a message: its push services have it, or a browser has shown it."""
    return Receipt(f"push:{message_id}", "delivered" if shown else "sent", provider=PROVIDER)


def is_push_service(endpoint: str, services: Sequence[str]) -> bool:
    """Whether a browser may listen there: nobody can have this service send to a host of her own choosing."""
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL:
        return False
    host = url.host
    secure = url.scheme == "https" or (url.scheme == "http" and host == "127.0.0.1")
    return secure and any(host == service or host.endswith(f".{service}") for service in services if service)


def is_subscription(p256dh: str, auth: str) -> bool:
    """Whether these are keys of a browser: a point of P-256, and a secret."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _bytes(p256dh, _POINT_BYTES))
        _bytes(auth, _SECRET_BYTES)
    except ValueError:
        return False
    return True


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str, length: int) -> bytes:
    """Raises ``ValueError`` unless it is base64url of so many bytes."""
    bare = text.strip().rstrip("=")
    try:
        data = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes instead of {length}")
    return data
