"""A virtual home and its gateway in one test: real bumble devices, a real radio over a socket, the real collector."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from devices.collector import Collector, Configured, Patience
from devices.desk import Desk
from devices.outbox import Outbox
from devices.readings import Reading
from devices.virtual.backend import VirtualRadio
from devices.virtual.street import Street
from devices.virtual.twin import Plate
from devices.virtual.twins.button import Button
from devices.virtual.twins.cuff import Cuff
from devices.virtual.twins.wearable import Wearable

_T = TypeVar("_T")

CUFF = "C0:FF:EE:00:00:01"
WEARABLE = "C0:FF:EE:00:00:02"
BUTTON = "C0:FF:EE:00:00:03"
BINDKEY = "231d39c1d7cc1ab1aee224cd096db932"

PLATES = (
    Plate(address=CUFF, kind="blood_pressure", name="BPM", model="BPM One", battery=77),
    Plate(address=WEARABLE, kind="wearable", name="Band"),
    Plate(address=BUTTON, kind="help_button", name="SBBT-002C", bindkey=BINDKEY),
)
DEVICES = (
    Configured(CUFF, "blood_pressure"),
    Configured(WEARABLE, "wearable"),
    Configured(BUTTON, "help_button", BINDKEY),
)
QUICK = Patience(backoff=0.1, backoff_most=0.4, between=0.1, full=0.3)


class Home:
    """A street of one home, and a gateway that can be started, killed and started again."""

    def __init__(self, folder: Path, patience: Patience, plates: Sequence[Plate] = PLATES) -> None:
        self.street = Street(plates)
        self._devices = tuple(Configured(p.address, p.kind, p.bindkey) for p in plates)
        self.outbox = Outbox(folder / "outbox.sqlite")
        self.desk = Desk(self.outbox)
        self._folder = folder
        self._patience = patience
        self.gateway: asyncio.Task[None] | None = None

    @property
    def cuff(self) -> Cuff:
        return self._twin(CUFF, Cuff)

    @property
    def wearable(self) -> Wearable:
        return self._twin(WEARABLE, Wearable)

    @property
    def button(self) -> Button:
        return self._twin(BUTTON, Button)

    def _twin(self, address: str, kind: type[_T]) -> _T:
        twin = self.street.twins[address]
        assert isinstance(twin, kind)
        return twin

    async def open_street(self) -> None:
        await self.street.start(self._folder / "radio", self._folder / "control")

    def start_gateway(
        self,
        *devices: Configured,
        outbox: Outbox | None = None,
        radio: VirtualRadio | None = None,
        others: Sequence[VirtualRadio] = (),
    ) -> Collector:
        self.outbox = outbox or self.outbox
        self.desk = Desk(self.outbox)
        self.radio = radio or VirtualRadio(f"unix:{self._folder / 'radio'}")
        self._radios = [self.radio, *others]
        collector = Collector(self.desk, *self._radios, devices=devices or self._devices, patience=self._patience)
        self.gateway = asyncio.get_running_loop().create_task(collector.run())
        return collector

    async def stop_gateway(self) -> None:
        task, self.gateway = self.gateway, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            for radio in self._radios:
                await radio.close()

    def values(self, metric: str) -> list[float]:
        return [r.value for r in self.readings(metric)]

    def readings(self, metric: str) -> list[Reading]:
        return [r for _, r in self.outbox.batch(10_000) if r.metric == metric]

    def reasons(self) -> list[str]:
        return [r.reason for r in self.outbox.refused(1000, untold=False)]


@contextlib.asynccontextmanager
async def home(folder: Path, patience: Patience = QUICK, plates: Sequence[Plate] = PLATES) -> AsyncIterator[Home]:
    found = Home(folder, patience, plates)
    await found.open_street()
    try:
        yield found
    finally:
        await found.stop_gateway()
        await found.street.stop()
        found.outbox.close()


async def until(what: Callable[[], object], seconds: float = 15) -> None:
    """Wait until something is so; the test fails when it does not become so."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110  what is waited for sends no event
            await asyncio.sleep(0.02)
