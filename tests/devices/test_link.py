"""A link that comes and goes while it is being made."""

from __future__ import annotations

import asyncio
import gc

import pytest
from bleak import BleakClient

from devices.link import Link, LinkLost

pytestmark = pytest.mark.anyio


async def test_an_attempt_whose_link_ends_is_given_up_at_once() -> None:
    """As on BlueZ with a device that has lost its bond: bleak would try again and again."""
    link = Link("C0:FF:EE:00:00:01")
    given_up = asyncio.Event()

    async def never() -> BleakClient:
        asyncio.get_running_loop().call_soon(link.on_disconnected, None)
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    with pytest.raises(LinkLost, match="hung up while it was being connected to"):
        await link.made(never())
    assert given_up.is_set()


async def test_what_becomes_of_an_attempt_that_was_given_up_is_nobodys_error() -> None:
    link = Link("C0:FF:EE:00:00:01")

    async def fails_in_the_end() -> BleakClient:
        asyncio.get_running_loop().call_soon(link.on_disconnected, None)
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the link ended")

    unheeded: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheeded.append(context))
    with pytest.raises(LinkLost):
        await link.made(fails_in_the_end())
    gc.collect()
    assert unheeded == []


async def test_what_an_attempt_fails_with_is_told_as_it_is() -> None:
    async def fails() -> BleakClient:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match="no answer"):
        await Link("C0:FF:EE:00:00:01").made(fails())


async def test_who_no_longer_waits_gives_up_the_attempt() -> None:
    given_up = asyncio.Event()

    async def never() -> BleakClient:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    waiting = asyncio.create_task(Link("C0:FF:EE:00:00:01").made(never()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert given_up.is_set()
