"""The telephone network as a process of its own, and those on duty, who have its phones and answer as people do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import httpx
import structlog
import uvicorn

from alerts.virtual.phones import Owner
from alerts.virtual.telephone import Settings, Telephone
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN

_CODE = re.compile(r"[(（][^()（）]*?(\d{2,4})[)）]|编号(\d{2,4})")


@dataclass(frozen=True, slots=True)
class Said:
    """What went over the network: how many messages and calls, how many of them again, and how people answered."""

    sent: int
    doubled: int
    answers: Counter[str]


class Staff:
    """Those on duty, each with a telephone, and how they answer."""

    def __init__(self, telephone: Telephone, client: httpx.AsyncClient, phones: Sequence[str], seed: int) -> None:
        self.answers: Counter[str] = Counter()
        self._network, self._client, self._phones = telephone.network, client, set(phones)
        self._chance = random.Random(seed)
        self._seen = 0
        self._under_way: set[asyncio.Task[None]] = set()

    async def go_on(self) -> None:
        """Read every message that arrives, and answer some, until cancelled."""
        try:
            while True:
                await asyncio.sleep(0.2)
                said = self._network.messages
                for sms in said[self._seen :]:
                    found = _CODE.search(sms.body)
                    if sms.direction == "outbound-api" and sms.to in self._phones and found:
                        self._answer(sms.to, found[1] or found[2])
                self._seen = len(said)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _answer(self, phone: str, code: str) -> None:
        answers = {f"1 {code}": 35, f"收到{code}": 5, f"2 {code}": 15, "稍等": 5, "": 40}
        [answer] = self._chance.choices(list(answers), list(answers.values()))
        self.answers[answer.replace(code, "N") or "silence"] += 1
        if answer:
            task = asyncio.create_task(self._say(phone, answer, self._chance.uniform(0.5, 20)))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _say(self, phone: str, answer: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        with contextlib.suppress(httpx.HTTPError):  # the service may be away for longer than the network tries
            await self._client.post(f"/phones/{phone}/reply", data={"body": answer})


def main(port: int, service_url: str, phones: Sequence[str], seed: int, asked: Connection[Any, Any]) -> None:
    """Serve until asked what has been said, and say it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_serve(port, service_url, phones, seed, asked))


async def _serve(port: int, service_url: str, phones: Sequence[str], seed: int, asked: Connection[Any, Any]) -> None:
    owners = {phone: Owner("护理员", "Care worker", "care_worker") for phone in phones}
    telephone = Telephone(Settings(ACCOUNT, TOKEN, NUMBER, service_url, owners, 0.05, 0.0, 0.05))
    server = uvicorn.Server(
        uvicorn.Config(telephone.app(), port=port, log_level="critical", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        staff = Staff(telephone, client, phones, seed)
        answering = asyncio.create_task(staff.go_on())
        await asyncio.to_thread(asked.recv)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        asked.send(_said(telephone, staff))
    telephone.end()
    server.should_exit = True
    await serving


def _said(telephone: Telephone, staff: Staff) -> Said:
    ours = [m.status_callback for m in telephone.network.messages if m.direction == "outbound-api"]
    sent = Counter([*ours, *(call.status_callback for call in telephone.network.calls)])
    return Said(sent.total(), sent.total() - len(sent), staff.answers)
