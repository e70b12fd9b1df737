"""Two ways to the service: an emergency takes whichever works, and nothing else spends mobile data before it must."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from devices.outbox import Outbox
from devices.readings import Reading
from devices.recording import Recording
from devices.service import NotAdmitted, Service, ServiceAway
from devices.uplink import Pace, Uplink
from devices.ways import Choice, Fallback, Haste, WayName
from tests.conftest import unavailable
from tests.devices.door import Door, open_door

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PULSE = Reading("C0:00:00:00:00:01", "pulse", 70.0, NOW, NOW)
FALL = Reading("C0:00:00:00:00:02", "fall", 0.9, NOW, NOW)
MAIN, FALLBACK = WayName.MAIN, WayName.FALLBACK


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as it:
        yield it


@pytest.fixture
async def other() -> AsyncIterator[Door]:
    async with open_door() as it:
        yield it


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as box:
        yield box


@asynccontextmanager
async def uplink(outbox: Outbox, service: Service) -> AsyncIterator[Uplink]:
    it = Uplink(outbox, service, pace=Pace(readings_per_s=1e6, spread_s=0.01))
    async with service:
        task = asyncio.create_task(it.run())
        try:
            yield it
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  any condition, not an event
            await asyncio.sleep(0.01)


async def test_when_the_main_server_is_dead_an_emergency_goes_to_the_other_and_the_rest_waits(
    outbox: Outbox, door: Door, other: Door
) -> None:
    await door.slam()
    outbox.put([PULSE, FALL])
    outbox.put_recording(Recording(FALL.device, NOW, 50.0, np.ones((9, 3), np.int16), "fall"))
    async with uplink(outbox, Service(door.url, "hw_right", fallback=Fallback(server=other.url))) as it:
        await until(lambda: other.arrivals == [["fall"]])
        await until(lambda: "readings wait here" in str(it.trouble))
        await until(lambda: (outbox.depth(), outbox.recordings()) == (1, 1))
        await door.open()
        await until(lambda: outbox.depth() == outbox.recordings() == 0)
    assert other.arrivals == [["fall"]]
    assert door.arrivals == [["pulse"]]
    assert len(door.recordings) == 1


async def test_after_a_long_outage_readings_take_the_fallback_too_but_never_raw_acceleration(
    outbox: Outbox, door: Door, other: Door
) -> None:
    await door.slam()
    outbox.put([PULSE])
    outbox.put_recording(Recording(FALL.device, NOW, 50.0, np.ones((9, 3), np.int16), "fall"))
    choice = Choice(patience_s=0.3, probe_s=0.5)
    service = Service(door.url, "hw_right", fallback=Fallback(server=other.url), choice=choice)
    async with uplink(outbox, service) as it:
        await until(lambda: other.arrivals == [["pulse"]] and service.way == "fallback")
        await service.heartbeat({"version": "1", "clock": "2026-11-24T10:00:00Z"})
        assert len(other.beats) == 1
        await asyncio.sleep(0.3)
        assert (other.recordings, outbox.recordings()) == ([], 1)
        await door.open()
        await asyncio.sleep(0.5)
        outbox.put([FALL])
        it.nudge()
        await until(lambda: outbox.depth() == 0)
        while service.way != "main":
            await service.heartbeat({"version": "1", "clock": "2026-11-24T10:00:00Z"})
        await until(lambda: outbox.recordings() == 0)
    assert len(door.recordings) == 1


async def test_an_emergency_does_not_wait_for_a_main_way_that_hangs(
    door: Door, other: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.service._EMERGENCY_S", 0.1)

    async def hang(_request: Request, _body: dict[str, Any]) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError

    door.temper(hang, hang)
    async with Service(door.url, "hw_right", fallback=Fallback(server=other.url), wait_s=60) as service:
        async with asyncio.timeout(20):
            await service.deliver([FALL], Haste.EMERGENCY)
        assert (other.arrivals, service.way) == ([["fall"]], "fallback")


async def test_an_emergency_takes_a_slow_way_when_the_other_is_dead_though_heartbeats_go_by_it(
    door: Door, other: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.service._EMERGENCY_S", 0.1)
    await other.slam()

    async def slow(_request: Request, _body: dict[str, Any]) -> None:
        await asyncio.sleep(0.4)

    door.temper(*[slow] * 30)
    async with Service(door.url, "hw_right", fallback=Fallback(server=other.url)) as service, asyncio.timeout(60):
        while True:
            await service.heartbeat({"version": "1", "clock": "2026-11-24T10:00:00Z"})
            try:
                await service.deliver([FALL], Haste.EMERGENCY)
            except ServiceAway:
                assert door.tempers
                continue
            break
    assert service.way == "main"


async def test_an_emergency_gets_past_a_network_that_lets_nobody_through(door: Door, other: Door) -> None:
    async def hotel(_request: Request, _body: dict[str, Any]) -> Response:
        return PlainTextResponse("<html>pay first</html>", 403)

    door.temper(hotel, hotel)
    async with Service(door.url, "hw_right", fallback=Fallback(server=other.url)) as service:
        with pytest.raises(NotAdmitted):
            await service.deliver([PULSE])
        await service.deliver([FALL], Haste.EMERGENCY)
    assert other.arrivals == [["fall"]]


async def test_the_same_service_is_reached_by_a_network_interface_of_one_s_choice(door: Door) -> None:
    for fallback in (
        Fallback(interface="lo"),
        Fallback(source="127.0.0.1"),
        Fallback(interface="lo", source="127.0.0.2"),
    ):
        choice = Choice(patience_s=0)
        choice.failed(MAIN, 0.0)  # as if the main way had failed long ago
        async with Service(door.url, "hw_right", fallback=fallback, choice=choice) as service:
            await service.deliver([FALL], Haste.EMERGENCY)
            assert service.way == "fallback"
    assert len(door.arrivals) == 3


async def test_an_interface_is_bound_before_connecting(door: Door) -> None:
    """Bound to another one the loopback cannot be reached: the packets would leave by it."""
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not others:
        unavailable("a network interface beside the loopback")
    choice = Choice()
    choice.failed(MAIN, 0.0)
    door.temper(answer_unavailable)
    service = Service(door.url, "hw_right", fallback=Fallback(interface=others[0]), choice=choice, wait_s=0.5)
    async with service:
        with pytest.raises(ServiceAway):
            await service.deliver([FALL], Haste.EMERGENCY)
    assert door.arrivals == []
    assert door.tempers == []  # the only request that arrived was the main way's


async def answer_unavailable(_request: Request, _body: dict[str, Any]) -> Response:
    return PlainTextResponse("oh", 503)


async def test_an_interface_that_is_not_there_is_said_in_words(door: Door) -> None:
    await door.slam()
    async with Service(door.url, "hw_right", fallback=Fallback(interface="wwan7")) as service:
        with pytest.raises(ServiceAway, match="No such device"):
            await service.deliver([FALL], Haste.EMERGENCY)


async def test_without_a_fallback_there_is_one_way() -> None:
    async with Service("http://127.0.0.1:9") as service:
        for haste in Haste:
            with pytest.raises(ServiceAway, match="cannot be reached"):
                await service.deliver([FALL], haste)
        assert service.way == "main"


@pytest.mark.parametrize(
    ("words", "fallback"),
    [
        ("wwan0", Fallback(interface="wwan0")),
        ("192.168.8.100", Fallback(source="192.168.8.100")),
        ("https://care2.example.org", Fallback(server="https://care2.example.org")),
        ("wwan0 https://care2.example.org", Fallback("https://care2.example.org", "wwan0")),
        ("fe80::1 enx001e101f0000", Fallback(None, "enx001e101f0000", "fe80::1")),
    ],
)
def test_a_fallback_is_said_in_a_few_words(words: str, fallback: Fallback) -> None:
    assert Fallback.parse(words) == fallback


@pytest.mark.parametrize("words", ["", " ", "wwan0 usb0", "ftp://x", "https://", "a-name-that-is-too-long", "ww/an"])
def test_what_is_no_fallback_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"address|names"):
        Fallback.parse(words)


STEPS = st.lists(
    st.tuples(st.sampled_from(list(Haste)), st.floats(0, 400), st.booleans(), st.booleans()), min_size=1, max_size=60
)


@given(STEPS)
def test_whatever_fails_when_the_rules_of_the_ways_hold(steps: list[tuple[Haste, float, bool, bool]]) -> None:
    choice, now_s, failing_since = Choice(patience_s=600, probe_s=60), 0.0, None
    for haste, passed_s, main_works, fallback_works in steps:
        now_s += passed_s
        order = choice.order(haste, now_s)
        if haste is Haste.EMERGENCY:
            assert set(order) == {MAIN, FALLBACK}
        if haste is Haste.SPARE:
            assert order == (MAIN,)
        if FALLBACK in order and haste is Haste.ORDINARY:
            assert failing_since is not None
            assert now_s - failing_since >= 600
        for way in order:
            if main_works if way is MAIN else fallback_works:
                choice.worked(way)
                failing_since = None if way is MAIN else failing_since
                assert choice.in_use is way
                break
            choice.failed(way, now_s)
            if way is MAIN and failing_since is None:
                failing_since = now_s
