"""Pages that change by themselves: one listener on the record, fanned out to every open page.

A page is told only *that* something changed about a resident whom its visitor may see, never what; it then asks
for itself, and so passes the same guard as any page.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from api import sessions
from api.metrics import STREAMS
from clinicians.visitor import Visitor
from store import administration, portal
from store.postgres import Database, Unavailable

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)

BEAT_S: Final = 15.0
"""A page that hears nothing for 40 s says so; this leaves room for one lost beat."""
_RECHECK_S: Final = 5.0
"""How old the list of whom a visitor may see can be when a change is told."""
_GATHER_S: Final = 0.1
"""Changes of one moment are told together."""


_OF_STAFF: Final = frozenset({"wall", "rota"})
"""Kinds of change that concern all staff and administrators of a centre, whomever they care for."""


class Change(NamedTuple):
    """What kind of thing changed, and about whom: a resident, a centre, or (0 and 0) whoever may see that kind."""

    kind: str
    resident_id: int = 0
    centre_id: int = 0


class Stream:
    """What one open page has still to be told. Bounded: the same change waits only once."""

    def __init__(self) -> None:
        self._waiting: dict[Change, None] = {}
        self._news = asyncio.Event()
        self.ended = False

    def tell(self, change: Change) -> None:
        """Add what changed."""
        self._waiting[change] = None
        self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._news.set()

    async def next(self, timeout_s: float) -> list[Change]:
        """What changed, all at once; empty when nothing did within ``timeout_s`` or the stream has ended."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return []
        if not self.ended:
            await asyncio.sleep(_GATHER_S)
        self._news.clear()
        waiting, self._waiting = list(self._waiting), {}
        return waiting


class Hub:
    """Listens to the record once and tells every open stream."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._streams: set[Stream] = set()
        self._closed = False

    async def run(self) -> None:
        """Fan out until cancelled."""
        async for note in self._database.listen():
            self.publish(note)

    def publish(self, note: dict[str, Any]) -> None:
        """Pass one notification on. After a lost connection every page is told to look for itself."""
        if note["kind"] == "reconnected":
            change = Change("reconnected")
        elif "resident_id" in note:
            change = Change(note["kind"], resident_id=note["resident_id"])
        elif "centre_id" in note:
            change = Change(note["kind"], centre_id=note["centre_id"])
        elif note["kind"] in _OF_STAFF:
            change = Change(note["kind"])
        else:
            return
        for stream in self._streams:
            stream.tell(change)

    def open(self) -> Stream:
        """A new stream."""
        stream = Stream()
        self._streams.add(stream)
        STREAMS.inc()
        if self._closed:
            stream.end()
        return stream

    def drop(self, stream: Stream) -> None:
        """The page has gone."""
        if stream in self._streams:
            self._streams.remove(stream)
            STREAMS.dec()

    def close(self) -> None:
        """End every stream, so that the server can stop without waiting for open pages."""
        self._closed = True
        for stream in self._streams:
            stream.end()


@router.get("/live")
async def live(request: Request, visitor: Annotated[Visitor, Depends(sessions.visitor)]) -> Response:
    """Server-sent events: ``change`` with what and whom, and a ``beat`` every fifteen seconds."""
    hashed = sessions.token_hash(request.cookies[sessions.COOKIE])
    told = _events(request.app.state.hub, request.app.state.database, visitor.person_id, hashed)
    return StreamingResponse(
        told, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _events(hub: Hub, database: Database, person_id: UUID, session: bytes) -> AsyncIterator[str]:
    stream = hub.open()
    sight = _Sight(database, person_id, session)
    loop = asyncio.get_running_loop()
    beat_at = loop.time()
    try:
        while not stream.ended:
            changes = await stream.next(max(beat_at - loop.time(), 0.0))
            if (changes or loop.time() >= beat_at) and not await sight.still_signed_in():
                return
            for change in changes:
                if await sight.sees(change):
                    yield _event("change", {"kind": change.kind, "resident_id": change.resident_id or None})
            if loop.time() >= beat_at:
                beat_at = loop.time() + BEAT_S
                yield _event("beat", {})
    finally:
        hub.drop(stream)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class _Sight:
    """Whom a visitor may see, asked again when it is older than a few seconds. Away from the record, nobody."""

    def __init__(self, database: Database, person_id: UUID, session: bytes) -> None:
        self._database = database
        self._person_id = person_id
        self._session = session
        self._visible: frozenset[int] = frozenset()
        self._administered: int | None = None
        self._staffed: int | None = None
        self._looked_at = self._signed_in_at = float("-inf")
        self._signed_in = True

    async def sees(self, change: Change) -> bool:
        if change.kind == "reconnected":
            return True
        await self._look()
        if change.resident_id:
            return change.resident_id in self._visible
        centre = self._staffed if change.kind in _OF_STAFF else self._administered
        return centre is not None and change.centre_id in (0, centre)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._looked_at > _RECHECK_S:
            try:
                async with self._database.reader(self._person_id) as c:
                    self._visible = await portal.visible(c)
                    self._administered = await administration.administered_centre(c)
                    self._staffed = await portal.staffed_centre(c)
                self._looked_at = now
            except Unavailable:
                self._visible, self._administered, self._staffed = frozenset(), None, None

    async def still_signed_in(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._signed_in_at > _RECHECK_S:
            try:
                self._signed_in = await sessions.is_open(self._database, self._session)
                self._signed_in_at = now
            except Unavailable:
                log.warning("live_without_record")
        return self._signed_in
