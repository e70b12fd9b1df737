"""What waits in the outbox reaches the service, in order and once, whatever the service does meanwhile."""

from __future__ import annotations

import asyncio
import base64
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from devices.outbox import Outbox
from devices.overtaken import Overtaken
from devices.readings import Quality, Reading
from devices.recording import Recording, unpack
from devices.service import NotAdmitted, Service, ServiceAway
from devices.uplink import EMERGENCIES_STUCK, READINGS_STUCK, Pace, Uplink, pause_s
from tests.devices.door import Door, open_door, problem

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CUFF = "C0:00:00:00:00:01"
BUTTON = "C0:00:00:00:00:02"
SWIFT = Pace(readings_per_s=1e6, spread_s=0.01)


def readings(*numbers: int, device: str = CUFF) -> list[Reading]:
    """One for each number, which is its value and the second at which it was measured."""
    return [Reading(device, "systolic", float(n), NOW + timedelta(seconds=n), NOW) for n in numbers]


@pytest.fixture
def outbox(tmp_path: Path) -> Any:
    with Outbox(tmp_path / "outbox.db") as box:
        yield box


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as it:
        yield it


@asynccontextmanager
async def uplink(
    outbox: Outbox, door: Door, *, key: str = "hw_right", wait_s: float = 5, pace: Pace = SWIFT, **more: Any
) -> AsyncIterator[Uplink]:
    async with Service(door.url, key, wait_s=wait_s) as service:
        it = Uplink(outbox, service, pace=pace, not_admitted_s=0.05, **more)
        task = asyncio.create_task(it.run())
        try:
            yield it
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  any condition, not an event
            await asyncio.sleep(0.005)


def answer(response: Response) -> Any:
    async def temper(_request: Request, _body: dict[str, Any]) -> Response:
        return response

    return temper


async def test_what_waits_is_sent_in_order_and_then_let_go(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(*range(1200)))
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [float(n) for n in range(1200)]
    assert door.batches == [500, 500, 200]


async def test_a_reading_arrives_whole(outbox: Outbox, door: Door) -> None:
    fall = Reading(
        CUFF,
        "fall",
        0.93,
        NOW + timedelta(microseconds=1500),
        NOW + timedelta(seconds=5),
        Quality.CLOCK_JUST_SET | Quality.FROM_MEMORY,
        2,
        {"impact_g": 4.5},
    )
    outbox.put([fall])
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert list(door.stored.values()) == [
        {
            "device": CUFF,
            "metric": "fall",
            "value": 0.93,
            "measured_at": "2026-11-24T10:00:00.001500Z",
            "collected_at": "2026-11-24T10:00:05Z",
            "quality": 10,
            "user": 2,
            "detail": {"impact_g": 4.5},
        }
    ]


async def test_a_new_reading_leaves_when_nudged_without_waiting_for_the_next_look(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.uplink.LOOK_EVERY_S", 3600)
    monkeypatch.setattr("devices.emergencies.LOOK_EVERY_S", 3600)
    async with uplink(outbox, door) as it:
        await asyncio.sleep(0.05)
        for n in range(3):
            outbox.put(readings(n))
            it.nudge()
            await until(lambda n=n: len(door.stored) == n + 1)  # type: ignore[misc]


async def test_readings_that_become_due_are_found_unasked(outbox: Outbox, door: Door) -> None:
    async with uplink(outbox, door):
        outbox.put(readings(1), held_s=0.3)
        await until(lambda: door.values == [1.0])


async def test_a_service_that_goes_away_mid_batch_gets_everything_when_it_is_back(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(*range(700)))
    arrived = asyncio.Event()

    async def hang(_request: Request, _body: dict[str, Any]) -> Response:
        arrived.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async def serve(_request: Request, _body: dict[str, Any]) -> None:
        return None

    door.temper(serve, hang)
    async with uplink(outbox, door) as it:
        async with asyncio.timeout(10):
            await arrived.wait()
        await door.slam()
        await until(lambda: it.trouble is not None)
        assert outbox.depth() == 200
        assert "cannot be reached" in str(it.trouble)
        assert "200 readings wait here" in str(it.trouble)
        outbox.put(readings(700))
        await door.open()
        await until(lambda: outbox.depth() == 0)
        await until(lambda: it.trouble is None)
    assert door.values == [float(n) for n in range(701)]
    assert set(door.deliveries.values()) == {1}


async def test_an_answer_lost_after_storing_makes_it_send_again_and_the_service_stores_once(
    outbox: Outbox, door: Door
) -> None:
    outbox.put(readings(*range(10)))

    async def store_and_die(_request: Request, body: dict[str, Any]) -> Response:
        door.take(body)
        asyncio.get_running_loop().create_task(door.slam())
        await asyncio.sleep(3600)
        raise AssertionError

    door.temper(store_and_die)
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        assert outbox.depth() == 10
        await door.open()
        await until(lambda: outbox.depth() == 0)
    assert set(door.deliveries.values()) == {2}
    assert len(door.stored) == 10


@pytest.mark.parametrize("status", [500, 502, 503, 429, 404, 302])
async def test_a_service_in_trouble_is_tried_again(outbox: Outbox, door: Door, status: int) -> None:
    outbox.put(readings(1, 2))
    door.temper(answer(PlainTextResponse("oh", status)), answer(PlainTextResponse("oh", status)))
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [1, 2]


async def test_it_waits_as_long_as_the_service_asks(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def busy(_request: Request, _body: dict[str, Any]) -> Response:
        times.append(loop.time())
        return problem(503, "database_away", "later", {"Retry-After": "1"})

    async def serve(_request: Request, _body: dict[str, Any]) -> None:
        times.append(loop.time())

    door.temper(busy, serve)
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        assert "503: later" in str(it.trouble)
        await until(lambda: outbox.depth() == 0)
    assert times[1] - times[0] >= 1


async def test_whoever_knows_better_can_end_the_wait(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))
    door.temper(answer(problem(503, "database_away", "later", {"Retry-After": "3000"})))
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        it.hurry()
        await until(lambda: outbox.depth() == 0)


async def test_a_service_that_never_answers_is_given_up_on_and_tried_again(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))

    async def sleep(_request: Request, _body: dict[str, Any]) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError

    door.temper(sleep)
    async with uplink(outbox, door, wait_s=0.2) as it:
        await until(lambda: it.trouble is not None)
        assert "did not answer within 0.2 seconds" in str(it.trouble)
        await until(lambda: outbox.depth() == 0)


@pytest.mark.parametrize(
    "nonsense",
    [
        "<html>Welcome to the hotel's network</html>",
        "",
        "[]",
        "null",
        '{"accepted":"three"}',
        '{"accepted":2,"duplicate":0,"quarantined":0,"rejected":[]}',
        '{"accepted":4,"duplicate":-1,"quarantined":0,"rejected":[]}',
        '{"accepted":2,"duplicate":0,"quarantined":0,"rejected":[{"index":7,"reason":"x"}]}',
        '{"accepted":1,"duplicate":0,"quarantined":0,"rejected":[{"index":0,"reason":"x"},{"index":0,"reason":"x"}]}',
        "[" * 100_000,
        "x" * 5_000_000,
        b"\xff\xfe",
    ],
)
async def test_an_answer_that_makes_no_sense_lets_nothing_go(outbox: Outbox, door: Door, nonsense: str | bytes) -> None:
    outbox.put(readings(1, 2, 3))
    door.temper(answer(Response(nonsense)))
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        assert outbox.depth() == 3
        await until(lambda: outbox.depth() == 0)
    assert door.values == [1, 2, 3]


async def test_a_gateway_that_is_not_admitted_keeps_everything_and_says_so_once(
    outbox: Outbox, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.put(readings(*range(5)))
    revoked = answer(problem(403, "gateway_revoked", "the gateway 'stairway 3' was revoked; pair it again"))
    door.temper(revoked, revoked, revoked)
    with caplog.at_level(logging.WARNING):
        async with uplink(outbox, door):
            await until(lambda: not door.tempers)
            await until(lambda: outbox.depth() == 0)
    assert len(door.stored) == 5
    [said] = [r.getMessage() for r in caplog.records if r.name == "devices.uplink"]
    assert "was revoked; pair it again" in said
    assert "5 readings wait here" in said


async def test_a_wrong_key_is_tried_again_slowly_and_a_new_one_at_once(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))
    async with Service(door.url, "hw_wrong") as service:
        it = Uplink(outbox, service, not_admitted_s=3600)
        task = asyncio.create_task(it.run())
        await until(lambda: it.trouble is not None)
        service.key = "hw_right"
        it.hurry()
        await until(lambda: outbox.depth() == 0)
        task.cancel()


@pytest.mark.parametrize("bad", [0, 3, 9])
async def test_one_reading_that_breaks_the_batch_is_put_aside_and_holds_up_no_other(
    outbox: Outbox, door: Door, bad: int
) -> None:
    outbox.put(readings(*range(10)))
    door.poison = float(bad)
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [float(n) for n in range(10) if n != bad]
    [aside] = outbox.refused(9, untold=False)
    assert (aside.device, aside.reason) == (CUFF, "unreadable")
    assert f'"value": {bad}.0'.encode() in aside.raw


async def test_a_service_that_takes_less_at_once_gets_less_at_once(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(*range(300)))
    door.most = 100
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [float(n) for n in range(300)]
    assert max(door.batches) <= 100


async def test_readings_the_service_rejects_are_put_aside_with_its_reason(outbox: Outbox, door: Door) -> None:
    door.known = {CUFF}
    outbox.put([*readings(1), *readings(2, device=BUTTON), *readings(3)])
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [1, 3]
    [aside] = outbox.refused(9, untold=False)
    assert (aside.device, aside.reason) == (BUTTON, "unknown_device")


async def test_a_batch_of_nothing_but_strangers_does_not_block_the_queue(outbox: Outbox, door: Door) -> None:
    door.known = {CUFF}
    outbox.put(readings(*range(500), device=BUTTON))
    outbox.put(readings(7))
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [7]
    assert {r.reason for r in outbox.refused(999, untold=False)} == {"unknown_device"}
    assert outbox.quarantined() == 500


async def test_packets_that_could_not_be_read_are_told_once(outbox: Outbox, door: Door) -> None:
    outbox.put_refused(CUFF, "2a35", b"\x16\xff", "no_value", NOW)
    async with uplink(outbox, door):
        await until(lambda: outbox.refused(9) == [])
        outbox.put(readings(1))
        await until(lambda: outbox.depth() == 0)
    assert door.refused == [
        {"device": CUFF, "characteristic": "2a35", "raw": "16ff", "reason": "no_value", "at": "2026-11-24T10:00:00Z"}
    ]
    assert outbox.quarantined() == 1


async def test_a_report_the_service_cannot_read_is_not_repeated_for_ever(outbox: Outbox, door: Door) -> None:
    for n in range(3):
        outbox.put_refused(CUFF, "2a35", bytes([n]), "no_value", NOW)
    door.temper(*[answer(problem(400, "malformed", "no"))] * 2)
    async with uplink(outbox, door):
        await until(lambda: outbox.refused(9) == [])
    assert [r["raw"] for r in door.refused] == ["01", "02"]


async def test_pairing_exchanges_a_code_for_a_key_and_a_wrong_code_is_refused_in_words(door: Door) -> None:
    async with Service(door.url) as service:
        assert (await service.pair("ABCD-EFGH")).key == "hw_right"
        with pytest.raises(NotAdmitted, match="was used already"):
            await service.pair("XXXX")


async def test_a_machine_that_is_not_there_is_said_in_words() -> None:
    async with Service("http://127.0.0.1:9") as service:
        with pytest.raises(ServiceAway, match="cannot be reached"):
            await service.pair("ABCD-EFGH")


@pytest.mark.parametrize("address", ["care.example.org", "ftp://care.example.org", "http://", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="looks like https"):
        Service(address)


@given(st.integers(1, 10_000))
def test_pauses_grow_and_stay_under_a_quarter_of_a_minute(failures: int) -> None:
    assert 0.1 < pause_s(failures) <= 15
    assert pause_s(failures) <= 0.25 * 2.0 ** min(failures, 20)


@given(st.integers(1, 10), st.floats(0, 3600))
def test_what_the_service_asks_for_is_waited_for(failures: int, asked_s: float) -> None:
    assert asked_s <= pause_s(failures, asked_s) <= asked_s * 1.1


def falls(*numbers: int) -> list[Reading]:
    return [Reading(BUTTON, "help_call", 1.0, NOW + timedelta(seconds=n), NOW) for n in numbers]


async def test_an_emergency_overtakes_the_backlog_of_weeks(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(*range(5000)))
    async with uplink(outbox, door, pace=Pace(readings_per_s=500)) as it:
        await until(lambda: len(door.batches) == 1)  # a second must pass before the next
        outbox.put(falls(9))
        it.nudge()
        await until(lambda: ["help_call"] in door.arrivals)
        assert len(door.stored) <= 1001
        assert outbox.depth() >= 4000


async def test_an_emergency_does_not_wait_for_a_batch_that_hangs(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))
    arrived = asyncio.Event()

    async def hang(_request: Request, _body: dict[str, Any]) -> Response:
        arrived.set()
        await asyncio.sleep(3600)
        raise AssertionError

    door.temper(hang)
    async with uplink(outbox, door, wait_s=60) as it:
        async with asyncio.timeout(10):
            await arrived.wait()
        outbox.put(falls(9))
        it.nudge()
        await until(lambda: door.arrivals == [["help_call"]])


async def test_an_emergency_is_tried_at_once_while_everything_else_waits_as_asked(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))
    door.temper(answer(problem(503, "database_away", "later", {"Retry-After": "3000"})))
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        outbox.put(falls(9))
        it.nudge()
        await until(lambda: len(door.stored) == 2)  # and what waited goes too: the service is back


async def test_an_emergency_is_tried_again_within_seconds_however_long_the_service_is_away(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.emergencies.AGAIN_S", 0.02)
    outbox.put(falls(1))
    door.temper(*[answer(problem(503, "database_away", "later", {"Retry-After": "3000"}))] * 20)
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        await until(lambda: outbox.depth() == 0)
        await until(lambda: it.trouble is None)
    assert not door.tempers


async def test_what_goes_wrong_with_readings_on_a_failing_card_does_not_hold_up_an_emergency(
    outbox: Outbox, door: Door, tmp_path: Path
) -> None:
    outbox.put(readings(1))
    with sqlite3.connect(tmp_path / "outbox.db") as db:  # a page of the card has lost some bits
        db.execute("UPDATE waiting SET detail = '{'")
    answering = asyncio.Event()

    async def slow(_request: Request, _body: dict[str, Any]) -> None:
        answering.set()
        await asyncio.sleep(0.5)

    door.temper(slow)
    async with uplink(outbox, door):
        outbox.put(falls(1))
        await until(lambda: outbox.depth() == 1)
    assert answering.is_set()
    assert door.deliveries.total() == 1


async def test_a_new_emergency_does_not_wait_for_the_next_attempt_of_an_older_one(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.emergencies.AGAIN_S", 3600)
    outbox.put(falls(1))
    door.temper(answer(PlainTextResponse("oh", 503)))
    async with uplink(outbox, door) as it:
        await until(lambda: it.trouble is not None)
        outbox.put(readings(5))
        it.nudge()
        await until(lambda: len(door.stored) == 1)
        outbox.put(falls(2))
        it.nudge()
        await until(lambda: len(door.stored) == 3)
    assert door.arrivals[-1] == ["help_call", "help_call"]


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, list[int]]] = []

    def taken(self, numbers: Any) -> None:
        self.said.append(("taken", list(numbers)))

    def not_taken(self, numbers: Any) -> None:
        self.said.append(("not taken", list(numbers)))


async def test_whoever_listens_learns_which_emergencies_the_service_has(outbox: Outbox, door: Door) -> None:
    heard = Heard()
    door.known = {BUTTON}
    outbox.put([*falls(1), Reading("C0:00:00:00:00:09", "help_call", 1.0, NOW, NOW), *falls(2)])
    async with uplink(outbox, door, listener=heard):
        await until(lambda: outbox.depth() == 0)
    assert heard.said == [("not taken", [2]), ("taken", [1, 3])]


async def test_an_emergency_that_was_set_aside_was_not_taken(outbox: Outbox, door: Door) -> None:
    heard = Heard()
    door.quarantines = {"help_call"}
    outbox.put(falls(1))
    async with uplink(outbox, door, listener=heard):
        await until(lambda: outbox.depth() == 0)
    assert heard.said == [("not taken", [1])]


async def test_an_emergency_the_service_cannot_read_holds_up_no_other(outbox: Outbox, door: Door) -> None:
    heard = Heard()
    door.poison = 0.5
    outbox.put([*falls(1), Reading(BUTTON, "fall", 0.5, NOW, NOW), *falls(2)])
    async with uplink(outbox, door, listener=heard):
        await until(lambda: outbox.depth() == 0)
    assert ("not taken", [2]) in heard.said
    assert door.values == [1.0, 1.0]


async def test_what_only_a_proxy_says_loses_no_reading(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(1))
    door.temper(*[answer(PlainTextResponse("<html>", status)) for status in (400, 413, 415, 422)])
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [1.0]
    assert outbox.quarantined() == 0


async def test_a_proxy_that_finds_everything_too_large_costs_no_call_for_help(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.emergencies.AGAIN_S", 0.05)
    heard = Heard()
    outbox.put(falls(1))
    door.temper(*[answer(PlainTextResponse("<html>", 413))] * 3)
    async with uplink(outbox, door, listener=heard):
        await until(lambda: outbox.depth() == 0)
    assert heard.said == [("taken", [1])]
    assert door.values == [1.0]


async def test_a_backlog_goes_at_the_pace_that_was_set(outbox: Outbox, door: Door) -> None:
    outbox.put(readings(*range(1500)))
    began = asyncio.get_running_loop().time()
    async with uplink(outbox, door, pace=Pace(readings_per_s=1000)):
        await until(lambda: len(door.stored) == 1500)
    assert asyncio.get_running_loop().time() - began >= 1.0
    assert door.values == [float(n) for n in range(1500)]


async def test_after_an_outage_it_sends_little_and_comes_back_at_a_time_of_its_own(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []

    def last(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    outbox.put(readings(*range(700)))
    door.temper(answer(PlainTextResponse("oh", 503)))
    monkeypatch.setattr("devices.uplink.random.uniform", last)
    async with uplink(outbox, door, pace=Pace(readings_per_s=1e6, spread_s=300)):
        await until(lambda: outbox.depth() == 0)
    assert door.batches == [20, 40, 80, 160, 320, 80]
    assert asked[-1][0] == 0
    assert 0 < asked[-1][1] < 300  # a tenth of the outage


def felt(n: int = 0) -> Recording:
    samples = np.random.default_rng(n).integers(-2000, 2000, (600, 3), dtype=np.int16)
    return Recording(BUTTON, NOW + timedelta(minutes=n), 50.0, samples, "fall")


async def test_raw_acceleration_goes_when_nothing_else_waits(outbox: Outbox, door: Door) -> None:
    outbox.put_recording(felt(0))
    outbox.put_recording(felt(1))
    outbox.put(readings(*range(600)))
    async with uplink(outbox, door):
        await until(lambda: outbox.recordings() == 0)
    assert len(door.stored) == 600
    assert [r["started_at"] for r in door.recordings] == ["2026-11-24T10:00:00Z", "2026-11-24T10:01:00Z"]
    [first, _] = door.recordings
    assert (first["device"], first["rate_hz"], first["reason"]) == (BUTTON, 50.0, "fall")
    assert np.array_equal(unpack(base64.b64decode(first["samples"])), felt(0).samples)


async def test_raw_acceleration_the_service_does_not_take_is_let_go_and_what_it_cannot_take_now_waits(
    outbox: Outbox, door: Door
) -> None:
    door.known = {CUFF}
    outbox.put_recording(felt())
    async with uplink(outbox, door):
        await until(lambda: outbox.recordings() == 0)
    door.key = "hw_other"
    outbox.put_recording(felt(1))
    async with uplink(outbox, door) as it:
        await asyncio.sleep(0.2)
        assert it.trouble is None
    assert outbox.recordings() == 1


def failing_at(*values: float, status: int = 500) -> Any:
    """The service has an error of its own at every body that holds one of these."""

    async def temper(_request: Request, body: dict[str, Any]) -> Response | None:
        bad = any(r["value"] in values for r in body.get("readings", []))
        return PlainTextResponse("oh", status) if bad else None

    return temper


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.uplink._LONGEST_S", 0.01)
    monkeypatch.setattr("devices.uplink.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("devices.emergencies.LOOK_EVERY_S", 0.02)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("bad", [0, 17, 39])
async def test_a_reading_the_service_fails_at_is_overtaken_and_kept(outbox: Outbox, door: Door, bad: int) -> None:
    outbox.put(readings(*range(40)))
    door.temper(*[failing_at(float(bad))] * 1000)
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 1)
        assert door.values == [float(n) for n in range(40) if n != bad]
        outbox.put(readings(100))
        await until(lambda: 100.0 in door.values)
        assert outbox.quarantined() == 0
        door.tempers.clear()  # the service is mended
        await until(lambda: outbox.depth() == 0)
    assert float(bad) in door.values
    assert set(door.deliveries.values()) == {1}


@pytest.mark.usefixtures("hasty")
async def test_several_readings_the_service_fails_at_hold_up_no_other(outbox: Outbox, door: Door) -> None:
    bad = {3.0, 4.0, 5.0, 11.0}
    outbox.put(readings(*range(20)))
    door.temper(*[failing_at(*bad)] * 1000)
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 4)
    assert door.values == [float(n) for n in range(20) if n not in bad]


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.usefixtures("hasty")
async def test_a_service_that_is_away_gets_its_readings_in_order(outbox: Outbox, door: Door, status: int) -> None:
    outbox.put(readings(*range(40)))
    door.temper(*[answer(PlainTextResponse("oh", status))] * 30)
    async with uplink(outbox, door):
        await until(lambda: outbox.depth() == 0)
    assert door.values == [float(n) for n in range(40)]
    assert door.batches[0] == 20


@pytest.mark.usefixtures("hasty")
async def test_when_a_service_that_failed_at_everything_is_back_the_overtaken_go_before_the_others(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.uplink._FAILINGS", 1)
    outbox.put(readings(*range(8)))
    async with uplink(outbox, door) as it:
        it._overtaken = Overtaken(first_s=3600, longest_s=3600)
        door.temper(*[answer(PlainTextResponse("oh", 500))] * 6)  # at 8, 4, 2 and 1, and at two after it
        await until(lambda: outbox.depth() == 0)
    assert door.values == [3.0, 0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0]


async def test_an_emergency_the_service_fails_at_holds_up_no_other(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.emergencies.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("devices.emergencies._OVERTAKEN_S", 0.05)
    monkeypatch.setattr("devices.uplink._EMERGENCY_STUCK_S", 0.05)
    outbox.put([*falls(1), Reading(BUTTON, "fall", 0.5, NOW, NOW), *falls(2)])
    door.temper(*[failing_at(0.5)] * 10_000)
    async with uplink(outbox, door) as it:
        await until(lambda: len(door.stored) == 2)
        assert door.values == [1.0, 1.0]
        await until(lambda: it.stuck != [])
        assert it.stuck[0].startswith(EMERGENCIES_STUCK)
        door.tempers.clear()
        await until(lambda: outbox.depth() == 0)
        await until(lambda: it.stuck == [])
    assert 0.5 in door.values


@pytest.mark.usefixtures("hasty")
async def test_readings_that_are_stuck_are_told_after_a_while_and_until_they_are_through(
    outbox: Outbox, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.put(readings(1, 2))
    door.temper(*[failing_at(1.0)] * 1000)
    async with uplink(outbox, door) as it:
        await until(lambda: door.values == [2.0])
        assert it.stuck == []
        monkeypatch.setattr("devices.uplink._STUCK_S", 0.0)
        [said] = it.stuck
        assert said.startswith(READINGS_STUCK)
        door.tempers.clear()
        await until(lambda: outbox.depth() == 0)
        await until(lambda: it.stuck == [])
