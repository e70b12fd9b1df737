"""Asking a device something that it answers by a notification."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from devices.link import Link

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S: Final = 10.0


class Dialogue(Generic[T]):
    """Questions that are written to one characteristic and answered on another."""

    def __init__(self, link: Link, uuid: str) -> None:
        self._link = link
        self._uuid = uuid
        self._heard: asyncio.Queue[T] = asyncio.Queue()

    def heard(self, answer: T) -> None:
        """Something was said on the characteristic of the answers."""
        self._heard.put_nowait(answer)

    async def ask(self, question: bytes, answers: Callable[[T], bool]) -> T:
        """Write a question and wait for what ``answers`` it. ``TimeoutError`` when that does not come."""
        await self._link.write(self._uuid, question)
        return await self.wait(answers)

    async def wait(self, answers: Callable[[T], bool]) -> T:
        """Wait for what ``answers``."""
        async with asyncio.timeout(ANSWER_S):
            while not answers(answer := await self._heard.get()):
                log.debug("%s said something else", self._link.address)
        return answer
