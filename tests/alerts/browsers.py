"""A push service and the browsers that listen at it, for tests: everything is checked and decrypted as they would.

The decryption is written after RFC 8188 and RFC 8291 with primitives alone, so that it shares nothing with what encrypts.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import FastAPI, Request, Response

from store import contacts
from store.postgres import Database
from tests.alerts.network import free_port, serving


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Browser:
    """Somebody's browser: only it can read what it is sent."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def p256dh(self) -> str:
        return base64url(self._point)

    @property
    def auth(self) -> str:
        return base64url(self.secret)

    @property
    def _point(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    async def listen(self, database: Database, person_id: UUID, now: datetime) -> None:
        """Let messages in, as the page does."""
        async with database.service() as c:
            await contacts.subscribe(c, person_id, self.endpoint, self.p256dh, self.auth, "Firefox", now)

    def read(self, body: bytes) -> dict[str, Any]:
        """Decrypt a message of one record (RFC 8291, 3.4)."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(sealed) <= size
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        input_key = _hkdf(shared, self.secret, b"WebPush: info\0" + self._point + sender, 32)
        key = _hkdf(input_key, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _hkdf(input_key, salt, b"Content-Encoding: nonce\0", 12)
        padded = AESGCM(key).decrypt(nonce, sealed, None)
        text, mark = padded.rstrip(b"\0")[:-1], padded.rstrip(b"\0")[-1:]
        assert mark == b"\x02", "the last record ends so"
        return dict(json.loads(text))


def _hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(key)


@dataclass
class PushService:
    """A push service as RFC 8030 has it. ``answers`` are the statuses it gives next, by path; else it takes everything."""

    url: str
    public_key: str
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def browser(self) -> Browser:
        return Browser(f"{self.url}/send/{secrets.token_urlsafe(8)}")

    def refuse(self, browser: Browser, status: int, **headers: str) -> None:
        self.answers.setdefault(urlsplit(browser.endpoint).path, []).append((status, headers))

    def got_by(self, browser: Browser) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """The headers and content of what has been sent to a browser."""
        path = urlsplit(browser.endpoint).path
        return [(headers, browser.read(body)) for at, headers, body in self.taken if at == path]

    async def on_message(self, request: Request) -> Response:
        body, headers, path = await request.body(), dict(request.headers), request.url.path
        if waiting := self.answers.get(path):
            status, more = waiting.pop(0)
            return Response(status_code=status, headers={k.replace("_", "-"): v for k, v in more.items()})
        if not self.is_signed(headers.get("authorization", "")):
            return Response(status_code=403)
        self.taken.append((path, headers, body))
        return Response(status_code=201, headers={"Location": f"{self.url}/message/1"})

    def is_signed(self, authorization: str) -> bool:
        """Whether the service that subscribed has sent it (RFC 8292, 2)."""
        kind, _, parameters = authorization.partition(" ")
        given = dict(part.strip().split("=", 1) for part in parameters.split(","))
        signed, _, signature = given["t"].rpartition(".")
        raw = unbase64url(signature)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64url(given["k"]))
        encoded = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.verify(encoded, signed.encode(), ec.ECDSA(hashes.SHA256()))
        claims = json.loads(unbase64url(signed.split(".")[1]))
        assert claims["aud"] == self.url
        assert claims["sub"].startswith("mailto:")
        self.claims = claims
        return kind == "vapid" and given["k"] == self.public_key


@asynccontextmanager
async def push_service(public_key: str) -> AsyncIterator[PushService]:
    """A running push service that knows a service by its public key."""
    port = free_port()
    service = PushService(f"http://127.0.0.1:{port}", public_key)
    app = FastAPI()
    app.add_api_route("/send/{browser}", service.on_message, methods=["POST"])
    async with serving(app, port):
        yield service
