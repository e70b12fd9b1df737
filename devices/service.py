"""What a gateway says to the service over HTTP, and how it understands the answers.

Nothing an answer says is believed before it has the right shape. Every failure is one of three: the service is
away for now, it does not admit this gateway, or it cannot read what it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Annotated, Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Meta

from devices.outbox import Refused
from devices.readings import Reading

T = TypeVar("T")

_WAIT_S: Final = 30.0
_ANSWER_BYTES: Final = 4 * 1024 * 1024
_LONGEST_WAIT_S: Final = 3600.0
_UNREADABLE: Final = (400, 413, 415, 422)


class ServiceError(Exception):
    """The service did not take what it was sent. The text is a sentence for an administrator."""


class ServiceAway(ServiceError):
    """The service cannot be reached or cannot serve now; ``retry_after_s`` is when it asks to be tried again, if it says so."""

    def __init__(self, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class NotAdmitted(ServiceError):
    """The service does not know this gateway's key, or has revoked it (or, when pairing, refuses the code)."""


class Unreadable(ServiceError):
    """The service cannot read this body, or it is too large; sending it again does not help."""


class UnknownDevices(ServiceError):
    """None of the devices in this body belongs to this gateway."""


class Rejection(msgspec.Struct, frozen=True):
    """A reading that the service does not take: its place in the batch and why (a short code, then words)."""

    index: Annotated[int, Meta(ge=0)]
    reason: str
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a batch."""

    accepted: Annotated[int, Meta(ge=0)]
    duplicate: Annotated[int, Meta(ge=0)]
    quarantined: Annotated[int, Meta(ge=0)]
    rejected: list[Rejection] = []


class ConfiguredDevice(msgspec.Struct, frozen=True):
    """A device to collect from. ``bindkey`` is 32 hexadecimal digits."""

    address: Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]
    kind: str
    bindkey: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{32}$")] | None = None


class Configuration(msgspec.Struct, frozen=True):
    """What the service answers to a heartbeat: the home's time zone (IANA name) and the devices to collect from.

    ``now`` is the service's clock.
    """

    gateway: str
    time_zone: str
    devices: list[ConfiguredDevice]
    now: Annotated[datetime, Meta(tz=True)] | None = None


class Paired(msgspec.Struct, frozen=True):
    """What a pairing code was exchanged for."""

    key: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[!-~]+$")]
    gateway: str


class Service:
    """The service at ``server`` (``http(s)://host[:port]``). ``key`` is the gateway's; only pairing goes without.
    A new key may be set at any time.

    ``wait_s`` limits every request as a whole. ``ValueError`` when the address is not one.
    """

    def __init__(self, server: str, key: str | None = None, *, wait_s: float = _WAIT_S) -> None:
        address = urlsplit(server)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{server!r} is not the address of a service; it looks like https://care.example.org")
        self.server = server.rstrip("/")
        self._wait_s = wait_s
        self.key = key
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        self._client = httpx.AsyncClient(headers=headers, timeout=wait_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def pair(self, code: str) -> Paired:
        """Exchange a one-time code for a key. ``NotAdmitted`` when the code is wrong, used or expired."""
        return await self._post("/v1/pair", {"code": code}, Paired)

    async def deliver(self, readings: Sequence[Reading]) -> Outcome:
        """Hand readings over. Whatever the answer does not name as rejected is durable there.

        ``UnknownDevices`` when every reading is of a device that is not this gateway's.
        """
        outcome = await self._post("/v1/readings", {"readings": [_reading(r) for r in readings]}, Outcome)
        rejected = {r.index for r in outcome.rejected}
        counted = outcome.accepted + outcome.duplicate + outcome.quarantined + len(outcome.rejected)
        if counted != len(readings) or len(rejected) != len(outcome.rejected) or any(i >= counted for i in rejected):
            raise ServiceAway(f"{self.server} counted {counted} of {len(readings)} readings; they are sent again")
        return outcome

    async def report(self, refused: Sequence[Refused]) -> None:
        """Tell of packets that could not be read."""
        await self._post("/v1/readings", {"refused": [_refused(r) for r in refused]}, Outcome)

    async def heartbeat(self, beat: Mapping[str, Any]) -> Configuration:
        """Say how the gateway is, and learn what it is to collect."""
        return await self._post("/v1/heartbeat", beat, Configuration)

    async def _post(self, path: str, content: object, answer: type[T]) -> T:
        try:
            async with asyncio.timeout(self._wait_s):
                status, headers, body = await self._exchange(path, msgspec.json.encode(content))
        except TimeoutError:
            raise ServiceAway(f"{self.server} did not answer within {self._wait_s:g} seconds") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise ServiceAway(f"{self.server} cannot be reached: {error or type(error).__name__}") from error
        if status != 200:
            raise self._failure(status, headers, body)
        try:
            return msgspec.json.decode(body, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ServiceAway(f"{self.server}{path} gave an answer that makes no sense: {error}") from error

    async def _exchange(self, path: str, content: bytes) -> tuple[int, httpx.Headers, bytes]:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        async with self._client.stream("POST", self.server + path, content=content, headers=headers) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_BYTES:
                    raise ServiceAway(f"{self.server}{path} gave an answer without end")
            return response.status_code, response.headers, bytes(body)

    def _failure(self, status: int, headers: httpx.Headers, body: bytes) -> ServiceError:
        problem = _problem(body)
        words = f"{self.server} answered {status}: {problem.detail or problem.title or 'without a word of explanation'}"
        if status == 403 and problem.type.endswith("unknown_devices"):
            return UnknownDevices(words)
        if status in (401, 403):
            return NotAdmitted(words)
        if status in _UNREADABLE:
            return Unreadable(words)
        return ServiceAway(words, _retry_after_s(headers.get("retry-after"), datetime.now(UTC)))


class _Problem(msgspec.Struct, frozen=True):
    type: str = ""
    title: str = ""
    detail: str = ""


def _problem(body: bytes) -> _Problem:
    """The problem document (RFC 9457) of an answer, empty when it holds none."""
    try:
        return msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Problem()


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """``Retry-After`` in seconds, given as seconds or as a date; at most an hour, ``None`` when it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value) if value.isdecimal() else (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def iso(moment: datetime) -> str:
    """A time as it goes over the wire: ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _reading(r: Reading) -> dict[str, Any]:
    return {
        "device": r.device,
        "metric": r.metric,
        "value": r.value,
        "measured_at": iso(r.measured_at),
        "collected_at": iso(r.collected_at),
        "quality": int(r.quality),
        "user": r.user,
        "detail": r.detail,
    }


def _refused(r: Refused) -> dict[str, Any]:
    return {
        "device": r.device,
        "characteristic": r.characteristic,
        "raw": r.raw.hex(),
        "reason": r.reason,
        "at": iso(r.at),
    }
