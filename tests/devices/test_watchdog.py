"""Telling a gateway that works from one that hangs, and holding what may never return to its limit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices import systemd
from devices.limits import Stuck, for_ever, together, within
from devices.watchdog import Watchdog
from tests.devices.home import until

pytestmark = pytest.mark.anyio


class Systemd:
    """The socket at which systemd listens."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.told: list[str] = []

    def hear(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told += self._socket.recv(4000).decode().split("\n")
        return self.told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def init(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = scratch / f"notify-{tmp_path.name[-20:]}"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    it = Systemd(path)
    yield it
    it.close()


def test_a_part_that_keeps_its_promise_is_alive_and_one_that_breaks_it_hangs() -> None:
    now = 0.0
    watchdog = Watchdog(now=lambda: now)
    quick, slow = watchdog.part("listening"), watchdog.part("handing over")
    quick.promise(10)
    slow.promise(3600)  # the service asked to be left alone for an hour
    now = 9.0
    assert watchdog.hung() == []
    now = 11.0
    assert watchdog.hung() == ["listening"]
    quick.promise(10)
    assert watchdog.hung() == []


async def test_systemd_is_told_alive_only_while_every_part_is(init: Systemd) -> None:
    hung: list[str] = []
    telling = asyncio.create_task(systemd.report(lambda: hung, lambda: "3 devices;\n0 readings wait"))
    await until(lambda: init.hear().count("WATCHDOG=1") >= 2)
    assert init.told[0] == "STATUS=3 devices; 0 readings wait"
    hung.append("listening with hci0")
    await until(lambda: "STATUS=hangs: listening with hci0" in init.hear())
    init.told.clear()
    await until(lambda: len(init.hear()) >= 3)
    assert set(init.told) == {"STATUS=hangs: listening with hci0"}
    telling.cancel()


async def test_a_systemd_that_cannot_be_told_does_not_end_the_gateway(init: Systemd) -> None:
    telling = asyncio.create_task(systemd.report(list, lambda: "well"))
    await until(init.hear)
    init.close()
    await asyncio.sleep(0.05)
    assert not telling.done()
    telling.cancel()


async def test_what_ends_in_time_gives_its_result_and_its_error() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise OSError("no such device")

    assert await within(5, answer()) == 7
    with pytest.raises(OSError, match="no such device"):
        await within(5, fail())


async def test_what_does_not_return_is_cancelled_and_cleans_up_first() -> None:
    said: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("cleaned up")

    with pytest.raises(TimeoutError):
        await within(0.01, hang())
    assert said == ["cleaned up"]


async def test_what_does_not_even_let_itself_be_cancelled_is_left_behind_and_said() -> None:
    let_go = asyncio.Event()

    async def deaf() -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    with pytest.raises(Stuck):
        await within(0.01, deaf(), grace_s=0.01)
    let_go.set()


async def test_what_is_done_together_ends_together_and_may_clean_up_undisturbed() -> None:
    said: list[str] = []

    async def part(name: str, fails_after: asyncio.Event) -> None:
        try:
            await fails_after.wait()
            raise OSError(name)
        finally:
            await asyncio.sleep(0.01)
            said.append(name)

    first, never = asyncio.Event(), asyncio.Event()
    work = asyncio.create_task(together(part("listening", first), part("handing over", never)))
    await asyncio.sleep(0)
    first.set()
    with pytest.raises(OSError, match="listening"):
        await work
    assert said == ["listening", "handing over"]
    said.clear()
    work = asyncio.create_task(together(part("listening", never), part("handing over", never)))
    await asyncio.sleep(0.01)
    work.cancel()
    await asyncio.wait([work])
    assert work.cancelled()
    assert sorted(said) == ["handing over", "listening"]


async def test_whoever_waits_may_give_up_himself() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(within(60, hang()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert ended.is_set()


async def test_a_part_begins_anew_whatever_ended_it_but_for_what_that_does_not_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devices.limits._SHORTEST_S", 0.001)
    ends: list[BaseException | None] = [OSError("adapter"), asyncio.CancelledError(), None, EOFError()]

    async def part() -> None:
        if (end := ends.pop(0)) is not None:
            raise end

    with pytest.raises(EOFError):
        await for_ever(part, but=(EOFError,))
    assert not ends
    working = asyncio.create_task(for_ever(asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
