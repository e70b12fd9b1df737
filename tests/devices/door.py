"""The service's door as a gateway knows it: the wire contract over real sockets, with a temper to be set by tests.

Not the service: it stands where the gateway's tests end. The service's own door is tested in tests/api.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Temper = Callable[[Request, dict[str, Any]], Awaitable[Response | None]]
"""What happens to one request before it is served as usual: an answer, or None to serve it."""


class Door:
    """Takes readings once by their key. ``deliveries`` counts how often each arrived."""

    def __init__(self) -> None:
        self.key = "hw_right"
        self.code = "ABCD-EFGH"
        self.devices: list[dict[str, Any]] = []
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.look_until: datetime | None = None
        self.beat_s = 30.0
        self.known: set[str] | None = None  # None: every device is known
        self.stored: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.deliveries: Counter[tuple[str, str, str]] = Counter()
        self.batches: list[int] = []
        self.refused: list[dict[str, Any]] = []
        self.arrivals: list[list[str]] = []  # the metrics of each body
        self.recordings: list[dict[str, Any]] = []
        self.quarantines: set[str] = set()  # metrics that are set aside
        self.emergency: dict[str, Any] | None = None
        self.answered: list[dict[str, Any]] = []
        self.beats: list[dict[str, Any]] = []
        self.tempers: list[Temper] = []
        self.beat_answer: Response | None = None
        self.poison: float | None = None  # a body holding this value is answered 400
        self.most: int | None = None  # more readings than this are answered 413
        self.port = 0
        self._serving: tuple[uvicorn.Server, asyncio.Task[None]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def values(self) -> list[float]:
        return [r["value"] for r in self.stored.values()]

    def temper(self, *tempers: Temper) -> None:
        """Meet the next deliveries like this, one each."""
        self.tempers.extend(tempers)

    async def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        routes = [
            ("/v1/pair", self._pair),
            ("/v1/readings", self._readings),
            ("/v1/recordings", self._recordings),
            ("/v1/heartbeat", self._heartbeat),
        ]
        app = Starlette(routes=[Route(path, handler, methods=["POST"]) for path, handler in routes])
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        server.capture_signals = _no_signals  # type: ignore[method-assign]
        self._serving = server, asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  uvicorn gives no event
            await asyncio.sleep(0.005)

    async def slam(self) -> None:
        """Go away at once: open requests are never answered."""
        assert self._serving is not None
        server, task = self._serving
        self._serving = None
        server.should_exit = server.force_exit = True
        await task
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    async def close(self) -> None:
        if self._serving is not None:
            await self.slam()

    async def _pair(self, request: Request) -> Response:
        if (await request.json()).get("code") != self.code:
            return problem(403, "bad_code", "this pairing code is wrong, was used already, or has expired")
        return JSONResponse({"key": self.key, "gateway": "stairway 3"})

    async def _heartbeat(self, request: Request) -> Response:
        if refusal := self._not_admitted(request):
            return refusal
        self.beats.append(await request.json())
        if self.beat_answer is not None:
            return self.beat_answer
        return JSONResponse(
            {
                "gateway": "stairway 3",
                "time_zone": "Asia/Shanghai",
                "now": self.now().isoformat(),
                "devices": self.devices,
                "look_until": self.look_until and self.look_until.isoformat(),
                "beat_s": self.beat_s,
                "emergency": self.emergency,
                "answered": self.answered,
            }
        )

    async def _readings(self, request: Request) -> Response:
        body = await request.json()
        if refusal := self._not_admitted(request):
            return refusal
        if self.tempers and (answer := await self.tempers.pop(0)(request, body)):
            return answer
        return self.take(body)

    async def _recordings(self, request: Request) -> Response:
        body = await request.json()
        if refusal := self._not_admitted(request):
            return refusal
        if self.known is not None and body["device"] not in self.known:
            return problem(403, "unknown_devices", "none of these devices belongs to this gateway")
        self.recordings.append(body)
        return JSONResponse({"stored": True})

    def _not_admitted(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        return problem(401, "key_needed", "this key is not known; pair the gateway")

    def take(self, body: dict[str, Any]) -> Response:
        """Store what is good, and say what became of each."""
        readings = body.get("readings", [])
        if self.poison is not None and any(r["value"] == self.poison for r in readings):
            return problem(400, "malformed", "this is not JSON")
        if self.most is not None and len(readings) > self.most:
            return problem(413, "too_many", "too much at once")
        strange = [i for i, r in enumerate(readings) if self.known is not None and r["device"] not in self.known]
        if strange and len(strange) == len(readings):
            return problem(403, "unknown_devices", "none of these devices belongs to this gateway")
        self.refused += body.get("refused", [])
        if readings:
            self.batches.append(len(readings))
            self.arrivals.append([r["metric"] for r in readings])
        aside = sum(r["metric"] in self.quarantines for r in readings)
        taken = [r for i, r in enumerate(readings) if i not in strange and r["metric"] not in self.quarantines]
        duplicate = sum(map(self._store, taken))
        return JSONResponse(
            {
                "accepted": len(readings) - duplicate - aside - len(strange),
                "duplicate": duplicate,
                "quarantined": aside,
                "rejected": [{"index": i, "reason": "unknown_device", "detail": "no such device"} for i in strange],
            }
        )

    def _store(self, reading: dict[str, Any]) -> bool:
        key = reading["device"], reading["metric"], reading["measured_at"]
        self.deliveries[key] += 1
        known = key in self.stored
        self.stored.setdefault(key, reading)
        return known


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    content = {"type": f"urn:hearthwatch:problem:{code}", "title": code, "status": status, "detail": detail}
    return Response(json.dumps(content), status, headers, "application/problem+json")


@asynccontextmanager
async def open_door() -> AsyncIterator[Door]:
    door = Door()
    await door.open()
    try:
        yield door
    finally:
        await door.close()


def _no_signals() -> Any:
    from contextlib import nullcontext

    return nullcontext()
