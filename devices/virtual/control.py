"""Moving the people of a virtual street: JSON lines over a unix socket, one request, one answer.

A request is ``{"device": address, "do": what, ...}``; the answer ``{"ok": true, ...}`` or
``{"ok": false, "error": words}``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from devices.virtual.body import Doing
from devices.virtual.button import Button
from devices.virtual.cuff import Cuff, Measurement
from devices.virtual.radio import Air
from devices.virtual.twin import Twin
from devices.virtual.wearable import Wearable

Answer = dict[str, Any]
_ANSWER_S: Final = 30.0


class Refused(Exception):
    """A request that cannot be done, in words."""


class Controls:
    """The street's side: does what it is asked with the devices of ``twins``."""

    def __init__(self, air: Air, twins: Mapping[str, Twin]) -> None:
        self._air = air
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
        for kind, act in _ACTS.get(what, ()):
            if isinstance(twin, kind):
                return await _call(act, twin, request)
        if what in ("leave", "come_back"):
            return self._move(twin, what)
        raise Refused(f"a {twin.plate.kind} cannot {what or 'do nothing'}")

    def _move(self, twin: Twin, what: str) -> Answer:
        if what == "leave":
            self._air.leave(twin.plate.address)
        else:
            self._air.come_back(twin.plate.address)
        return {}


async def _call(act: Callable[..., Awaitable[Answer]], twin: Twin, request: dict[str, Any]) -> Answer:
    name = act.__name__.strip("_")
    try:
        inspect.signature(act).bind(twin, **request)
        types = inspect.get_annotations(act, eval_str=True)
        values = {key: msgspec.convert(value, types.get(key, Any)) for key, value in request.items()}
    except TypeError as error:
        raise Refused(f"{name}: {error}") from error
    except msgspec.ValidationError as error:
        raise Refused(f"{name}: {error}") from error
    return await act(twin, **values)


async def _measure(
    cuff: Cuff,
    systolic: float,
    diastolic: float,
    pulse: float | None = 72,
    user: int | None = 1,
    status: int = 0,
    timestamped: bool = True,
) -> Answer:
    measurement = Measurement(
        systolic=systolic, diastolic=diastolic, pulse=pulse, user=user, status=status, timestamped=timestamped
    )
    return {"measured_at": (await cuff.measure(measurement)).isoformat()}


async def _raw(cuff: Cuff, hex: str) -> Answer:  # noqa: A002  the request's own word
    await cuff.remember(bytes.fromhex(hex))
    return {}


async def _set_clock(cuff: Cuff, iso: str) -> Answer:
    shows = datetime.fromisoformat(iso)
    if shows.tzinfo is not None:
        raise Refused("a cuff's clock shows local time, without a zone")
    cuff.set_clock(shows)
    return {}


async def _lose_bond(cuff: Cuff) -> Answer:
    await cuff.lose_bond()
    return {}


async def _double(cuff: Cuff, on: bool = True) -> Answer:
    cuff.doubled = on
    return {}


async def _press(button: Button) -> Answer:
    await button.press()
    return {}


async def _replay(button: Button) -> Answer:
    if not button.last:
        raise Refused("nothing was broadcast yet that could be replayed")
    await button.replay(button.last)
    return {}


async def _fall(wearable: Wearable) -> Answer:
    wearable.body.fall()
    return {}


async def _get_up(wearable: Wearable) -> Answer:
    wearable.body.get_up()
    return {}


async def _walk(wearable: Wearable) -> Answer:
    wearable.body.doing = Doing.WALKING
    return {}


async def _sit(wearable: Wearable) -> Answer:
    wearable.body.doing = Doing.SITTING
    return {}


async def _i_am_fine(wearable: Wearable) -> Answer:
    await wearable.i_am_fine()
    return {}


async def _battery(twin: Twin, level: int) -> Answer:
    if not 0 <= level <= 100:
        raise Refused(f"a battery cannot be at {level} %")
    await twin.set_battery(level)
    return {}


async def _state(twin: Twin) -> Answer:
    more: Answer = {}
    if isinstance(twin, Cuff):
        more = {"memory": len(twin.memory), "clock": twin.now().isoformat()}
    elif isinstance(twin, Wearable):
        more = {"doing": twin.body.doing.value}
    elif isinstance(twin, Button):
        more = {"counter": twin.counter, "bindkey": twin.bindkey}
    links = len(twin.connections)
    return {"kind": twin.plate.kind, "name": twin.plate.name, "battery": twin.battery, "links": links, **more}


_ACTS: Final[dict[str, tuple[tuple[type[Twin], Callable[..., Awaitable[Answer]]], ...]]] = {
    "measure": ((Cuff, _measure),),
    "raw": ((Cuff, _raw),),
    "set_clock": ((Cuff, _set_clock),),
    "lose_bond": ((Cuff, _lose_bond),),
    "double": ((Cuff, _double),),
    "press": ((Button, _press),),
    "replay": ((Button, _replay),),
    "fall": ((Wearable, _fall),),
    "get_up": ((Wearable, _get_up),),
    "walk": ((Wearable, _walk),),
    "sit": ((Wearable, _sit),),
    "i_am_fine": ((Wearable, _i_am_fine),),
    "battery": ((Twin, _battery),),
    "state": ((Twin, _state),),
}


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
