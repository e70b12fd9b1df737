"""What a gateway says to the service over HTTP, and how it understands the answers.

Nothing an answer says is believed before it has the right shape. Every failure is one of three: the service is
away for now, it does not admit this gateway, or it cannot read what it was sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Annotated, Any, Final, Self, TypeVar

import httpx
import msgspec
from msgspec import Meta

from devices.outbox import Refused
from devices.readings import Reading
from devices.recording import Recording, pack
from devices.ways import Choice, Fallback, FallbackWay, Haste, MainWay, NoEnd, Way, WayName, check_server

T = TypeVar("T")
log = logging.getLogger(__name__)

_WAIT_S: Final = 30.0
_EMERGENCY_S: Final = 5.0  # an emergency waits no longer for a way before it takes the other
_LONGEST_WAIT_S: Final = 3600.0
_UNREADABLE: Final = (400, 415, 422)
_AWAY: Final = (502, 503, 504)  # what a proxy says for a service that is away, and the service without its database
_PROBLEM: Final = "urn:hearthwatch:problem:"
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}


class ServiceError(Exception):
    """The service did not take what it was sent. The text is a sentence for an administrator."""


class ServiceAway(ServiceError):
    """The service cannot be reached or cannot serve now; ``retry_after_s`` is when it asks to be tried again, if it says so."""

    def __init__(self, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class Failing(ServiceAway):
    """The service is there and fails at this body, by an error of its own; another body may pass."""


class NotAdmitted(ServiceError):
    """The service does not know this gateway's key, or has revoked it (or, when pairing, refuses the code)."""


class Unreadable(ServiceError):
    """The service cannot read this body, or it is too large; sending it again does not help."""


class TooLarge(Unreadable):
    """This body is too large for somebody on the way; a smaller one may pass."""


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
    """A device to collect from. ``bindkey`` is 32 hexadecimal digits; ``habits`` is what is known of its type.

    Devices with the same ``home`` are in one flat; a number that says nothing else.
    """

    address: Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]
    kind: str
    bindkey: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{32}$")] | None = None
    habits: dict[str, Any] = {}
    home: int | None = None


class Emergency(msgspec.Struct, frozen=True):
    """Whom the home calls when nothing else reaches anybody, and the resident's language."""

    phone: str | None = None
    language: str = "zh_Hans"


class Answered(msgspec.Struct, frozen=True):
    """Who lives in this ``home`` has said on her own page that she is well, of the fall told as of ``fell_at``."""

    home: int
    fell_at: Annotated[datetime, Meta(tz=True)]


class Configuration(msgspec.Struct, frozen=True):
    """What the service answers to a heartbeat: the home's time zone (IANA name) and the devices to collect from.

    ``beat_s`` is how often it wants a heartbeat. Until ``look_until`` somebody wants to give the home a new device.
    ``now`` is the service's clock. ``answered`` are the falls that were answered lately.
    """

    gateway: str
    time_zone: str
    devices: list[ConfiguredDevice]
    now: Annotated[datetime, Meta(tz=True)] | None = None
    look_until: Annotated[datetime, Meta(tz=True)] | None = None
    beat_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    emergency: Emergency | None = None
    answered: list[Answered] = []


class Recorded(msgspec.Struct, frozen=True):
    """What became of a recording: ``stored``, or it was there already."""

    stored: bool


class Paired(msgspec.Struct, frozen=True):
    """What a pairing code was exchanged for."""

    key: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[!-~]+$")]
    gateway: str


class Service:
    """The service at ``server`` (``http(s)://host[:port]``), by its main way and a ``fallback``.

    ``key`` is the gateway's; only pairing goes without. A new key may be set at any time. ``wait_s`` limits every request
    as a whole. ``ValueError`` when an address is not one.
    """

    def __init__(
        self,
        server: str,
        key: str | None = None,
        *,
        wait_s: float = _WAIT_S,
        fallback: Fallback | None = None,
        choice: Choice | None = None,
    ) -> None:
        self.server = check_server(server)
        self.key = key
        self._wait_s = wait_s
        self._choice = choice or Choice()
        self._ways: dict[WayName, Way] = {WayName.MAIN: MainWay(self.server, wait_s)}
        if fallback is not None:
            self._ways[WayName.FALLBACK] = FallbackWay(self.server, fallback)
        self._emergency_wait_s = _EMERGENCY_S

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for way in self._ways.values():
            await way.close()

    @property
    def way(self) -> str:
        """The way that worked last: ``main`` or ``fallback``."""
        return self._choice.in_use.value

    async def pair(self, code: str) -> Paired:
        """Exchange a one-time code for a key. ``NotAdmitted`` when the code is wrong, used or expired."""
        return await self._post("/v1/pair", {"code": code}, Paired)

    async def deliver(self, readings: Sequence[Reading], haste: Haste = Haste.ORDINARY) -> Outcome:
        """Hand readings over. Whatever the answer does not name as rejected is durable there.

        ``UnknownDevices`` when every reading is of a device that is not this gateway's.
        """
        try:
            outcome = await self._post("/v1/readings", {"readings": [_reading(r) for r in readings]}, Outcome, haste)
        except TooLarge as error:
            if len(readings) == 1:  # nothing is smaller: whoever says so is not the service, and may be gone tomorrow
                raise ServiceAway(str(error)) from error
            raise
        if haste is Haste.EMERGENCY:  # only then: that the slower way takes a heartbeat says nothing of the short wait
            self._emergency_wait_s = _EMERGENCY_S
        rejected = {r.index for r in outcome.rejected}
        counted = outcome.accepted + outcome.duplicate + outcome.quarantined + len(outcome.rejected)
        if counted != len(readings) or len(rejected) != len(outcome.rejected) or any(i >= counted for i in rejected):
            raise ServiceAway(f"{self.server} counted {counted} of {len(readings)} readings; they are sent again")
        return outcome

    async def report(self, refused: Sequence[Refused]) -> None:
        """Tell of packets that could not be read."""
        await self._post("/v1/readings", {"refused": [_refused(r) for r in refused]}, Outcome)

    async def record(self, recording: Recording) -> None:
        """Hand raw acceleration over; when this returns it is durable there."""
        await self._post("/v1/recordings", _recording(recording), Recorded, Haste.SPARE)

    async def heartbeat(self, beat: Mapping[str, Any]) -> Configuration:
        """Say how the gateway is, and learn what it is to collect."""
        return await self._post("/v1/heartbeat", beat, Configuration)

    async def _post(self, path: str, content: object, answer: type[T], haste: Haste = Haste.ORDINARY) -> T:
        """Ask by one way after the other. What is raised is what the last of them met."""
        body = msgspec.json.encode(content)
        order = [way for way in self._choice.order(haste, time.monotonic()) if way in self._ways] or [WayName.MAIN]
        for way in order[:-1]:
            try:
                return await self._ask(way, path, body, answer, self._short_wait_s(haste))
            except ServiceAway:
                log.info("no answer from %s by the %s way", self._ways[way].server, way.value)
            except NotAdmitted:
                # Whoever stands between may say so in the service's place, such as the network of a hotel.
                if haste is not Haste.EMERGENCY:
                    raise
        return await self._ask(order[-1], path, body, answer, self._wait_s)

    def _short_wait_s(self, haste: Haste) -> float:
        """How long a way is waited for that is not the last: longer each time, in case all are slow and none is dead."""
        if haste is not Haste.EMERGENCY:
            return self._wait_s
        wait_s, self._emergency_wait_s = self._emergency_wait_s, min(self._emergency_wait_s * 1.5, self._wait_s)
        return min(wait_s, self._wait_s)

    async def _ask(self, way: WayName, path: str, body: bytes, answer: type[T], wait_s: float) -> T:
        try:
            found = await self._understand(self._ways[way], path, body, answer, wait_s)
        except ServiceAway:
            self._choice.failed(way, time.monotonic())
            raise
        self._choice.worked(way)
        return found

    async def _understand(self, way: Way, path: str, content: bytes, answer: type[T], wait_s: float) -> T:
        headers = _HEADERS if self.key is None else {**_HEADERS, "Authorization": f"Bearer {self.key}"}
        try:
            status, said, body = await way.post(path, content, headers, wait_s)
        except TimeoutError:
            raise ServiceAway(f"{way.server} did not answer within {wait_s:g} seconds") from None
        except NoEnd:
            raise ServiceAway(f"{way.server}{path} gave an answer without end") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise ServiceAway(f"{way.server} cannot be reached: {error or type(error).__name__}") from error
        if status != 200:
            raise _failure(way.server, status, said, body)
        try:
            return msgspec.json.decode(body, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ServiceAway(f"{way.server}{path} gave an answer that makes no sense: {error}") from error


def _failure(server: str, status: int, headers: httpx.Headers, body: bytes) -> ServiceError:
    problem = _problem(body)
    words = f"{server} answered {status}: {problem.detail or problem.title or 'without a word of explanation'}"
    if status == 403 and problem.type.endswith("unknown_devices"):
        return UnknownDevices(words)
    if status in (401, 403):
        return NotAdmitted(words)
    # Too large is what a proxy may say too; that something cannot be read, only the service itself.
    if status == 413:
        return TooLarge(words)
    if status in _UNREADABLE and problem.type.startswith(_PROBLEM):
        return Unreadable(words)
    if status >= 500 and status not in _AWAY:
        return Failing(words)
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


def _recording(r: Recording) -> dict[str, Any]:
    return {
        "device": r.device,
        "started_at": iso(r.started_at),
        "rate_hz": r.rate_hz,
        "reason": r.reason,
        "samples": pack(r.samples),
    }


def _refused(r: Refused) -> dict[str, Any]:
    return {
        "device": r.device,
        "characteristic": r.characteristic,
        "raw": r.raw.hex(),
        "reason": r.reason,
        "at": iso(r.at),
    }
