"""Moving the people of a virtual street: JSON lines over a unix socket, one request, one answer.

A request is ``{"device": address, "do": what, ...}``; the answer ``{"ok": true, ...}`` or
``{"ok": false, "error": words}``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from devices.virtual.twin import Answer, Refused, Twin

_ANSWER_S: Final = 30.0


class Controls:
    """The street's side: does what it is asked with the devices of ``twins``."""

    def __init__(self, twins: Mapping[str, Twin]) -> None:
        self._twins = twins
        self._open: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Hang up on whoever is connected."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until it ends."""
        self._open.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self.answer(line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # whoever asked did not wait for the answer
        finally:
            self._open.discard(writer)
            writer.close()

    async def answer(self, line: bytes) -> Answer:
        """Do one request and say how it went."""
        try:
            return {"ok": True, **await self._do(line)}
        except (Refused, ValueError) as error:
            return {"ok": False, "error": str(error)}

    async def _do(self, line: bytes) -> Answer:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise Refused("a request is an object")
        twin = self._twins.get(str(request.pop("device", "")).upper())
        if twin is None:
            raise Refused("no such device in this street")
        what = str(request.pop("do", ""))
        act: Callable[..., Awaitable[Answer]] | None = getattr(twin, f"do_{what}", None)
        if act is None:
            raise Refused(f"a {twin.plate.kind} cannot {what or 'do nothing'}")
        return await _call(act, what, request)


async def _call(act: Callable[..., Awaitable[Answer]], what: str, request: dict[str, Any]) -> Answer:
    try:
        inspect.signature(act).bind(**request)
        types = inspect.get_annotations(act.__func__, eval_str=True)  # type: ignore[attr-defined]
        values = {key: msgspec.convert(value, types.get(key, Any)) for key, value in request.items()}
    except (TypeError, msgspec.ValidationError) as error:
        raise Refused(f"{what}: {error}") from error
    return await act(**values)


class Street:
    """The other side: asks a street in another process. ``path`` is its control socket."""

    def __init__(self, path: Path | str) -> None:
        self._path = path

    async def do(self, device: str, what: str, **more: Any) -> Answer:
        """Ask one thing. ``RuntimeError`` with the street's words when it cannot be done, ``OSError`` without a street."""
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(json.dumps({"device": device, "do": what, **more}).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
        answer: Answer = json.loads(line) if line else {"ok": False, "error": "the street ended"}
        if not answer.pop("ok"):
            raise RuntimeError(f"{device} {what}: {answer.get('error')}")
        return answer
