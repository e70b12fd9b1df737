"""One adapter at work: it listens without end, notices when it has gone deaf, and connects one device at a time.

What real adapters ask for (``docs/devices.md`` names the troubles one by one): one owner, a limit on every await, a
power cycle when nothing else helps, and in the end a new process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak_retry_connector import establish_connection

from devices.limits import Stuck, within
from devices.link import Link
from devices.radio import TROUBLES, AdapterHung, Radio
from devices.watchdog import Life

log = logging.getLogger(__name__)

Mode = Literal["active", "passive", "off"]
_LOOK_UP_S: Final = 10.0  # a station that waits shows life at least so often
_LIFE_S: Final = 90.0  # and is believed to hang after so much more than it may wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the collector waits for what, in seconds (``key_missing`` and ``hung`` count failures)."""

    scanner: float = 10.0
    connect: float = 30.0
    grace: float = 5.0
    """For an attempt that was given up to let go; then the adapter is opened anew."""
    reset: float = 30.0
    fresh: float = 10.0
    """An advertisement older than this is no ground for calling: the device has gone back to sleep."""
    silence: float = 90.0
    """A scanner that hears nothing at all for so long is deaf."""
    silence_most: float = 1800.0
    between: float = 3.0
    """Between two visits to one device."""
    idle_most: float = 60.0
    """Between two visits to a device that always calls and has nothing new to say: doubled each time up to this."""
    away: float = 30.0
    """A device that was not heard for so long was away or asleep: when it calls again, it has something."""
    compare: float = 0.5
    """With several adapters: how long to wait for the others to hear a device that calls, too."""
    backoff: float = 2.0
    """After the first failure; doubled with each one, up to ``backoff_most``."""
    backoff_most: float = 120.0
    key_missing: int = 2
    links_lost: int = 4
    """A paired device that is heard well and hangs up on so many attempts in a row has lost its bond: BlueZ before 5.82
    tells nobody that it was for a missing key."""
    hung: int = 5
    """An adapter that has not answered so many times in a row hangs: only a new process may help."""
    full: float = 30.0
    """After the outbox was found full."""

    def after(self, failures: int) -> float:
        """How long to wait after so many failures in a row, with jitter."""
        pause: float = min(self.backoff * 2.0 ** min(failures - 1, 32), self.backoff_most)
        return pause * random.uniform(0.8, 1.2)


class Station:
    """An adapter that listens. ``scanning`` is how, ``trouble`` one sentence on why it cannot, or None; ``hung`` whether
    it has not answered for long.

    ``heard`` is called with each advertisement; ``linked`` says whether a link lives that a power cycle would cost;
    ``end_visits`` ends them before it happens.
    """

    def __init__(
        self,
        radio: Radio,
        patience: Patience,
        life: Life,
        *,
        heard: Callable[[Station, BLEDevice, AdvertisementData], None],
        linked: Callable[[Station], bool],
        end_visits: Callable[[Station], Awaitable[None]],
    ) -> None:
        self.radio = radio
        self.scanning: Mode = "off"
        self.trouble: str | None = None
        self.hung = False
        self._patience = patience
        self._life = life
        self._heard_by = heard
        self._linked = linked
        self._end_visits = end_visits
        self._looking = False
        self._deaf_passively = False
        self._stirred = asyncio.Event()
        self._connecting = asyncio.Lock()
        self._heard_at = time.monotonic()
        self._silences = 0

    def look(self, looking: bool) -> None:
        """Ask every device in range for all it has to say (active scanning), or no longer."""
        if looking != self._looking:
            self._looking = looking
            self._stirred.set()

    def give_up(self, why: str) -> None:
        """Something in the adapter hangs: open it anew."""
        log.warning("the Bluetooth adapter %s is opened anew: %s", self.radio.name, why)
        self.radio.lost.set()

    async def run(self) -> None:
        """Listen until cancelled. An adapter that is away is waited for; :class:`AdapterHung` when it hangs for good."""
        failures = hung = 0
        while True:
            self._life.promise(self._patience.reset + self._patience.scanner + _LIFE_S)
            try:
                if self.radio.lost.is_set():
                    await self._reset()
                async with self._listening():
                    failures = hung = 0
                    await self._stay_awake()
            except TROUBLES as error:
                failures += 1
                hung = hung + 1 if isinstance(error, TimeoutError) else 0
                self._note_failure(error)
                if hung >= self._patience.hung:
                    self.hung = True
                    raise AdapterHung(f"the Bluetooth adapter {self.radio.name} does not answer") from error
                pause = self._patience.after(failures)
                self._life.promise(pause + _LIFE_S)
                await asyncio.sleep(pause)

    def _note_failure(self, error: Exception) -> None:
        self.trouble = f"the Bluetooth adapter {self.radio.name} fails: {in_words(error)}"
        log.warning("%s", self.trouble)
        if isinstance(error, TimeoutError):
            self.give_up("it did not answer in time")
        elif "NotReady" in str(error):
            self.give_up("it has no power")  # somebody switched it off: only a power cycle brings it back

    async def _reset(self) -> None:
        await self._end_visits(self)
        await within(self._patience.reset, self.radio.reset(), grace_s=self._patience.grace)
        log.info("the Bluetooth adapter %s is ready", self.radio.name)

    def _mode(self) -> Literal["active", "passive"]:
        passive = self.radio.passive_options is not None and not self._looking and not self._deaf_passively
        return "passive" if passive else "active"

    def _options(self, mode: Mode) -> dict[str, Any]:
        passive = self.radio.passive_options
        return dict(passive if mode == "passive" and passive is not None else self.radio.scanner_options)

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        mode = self._mode()
        scanner = BleakScanner(self._heard, **self._options(mode))
        try:
            await within(self._patience.scanner, scanner.start())
        except BleakError:
            self._deaf_passively = self._deaf_passively or mode == "passive"
            raise
        self.scanning, self.trouble, self.hung = mode, None, False
        self._heard_at = time.monotonic()
        log.info("listening with %s, %sly", self.radio.name, mode)
        try:
            yield
        finally:
            self.scanning = "off"
            with contextlib.suppress(*TROUBLES):
                await within(self._patience.scanner, scanner.stop())

    async def _stay_awake(self) -> None:
        """Return when the scanner should be started anew: after a silence, to listen otherwise, or with the adapter lost."""
        while not self.radio.lost.is_set():
            self._life.promise(_LOOK_UP_S + _LIFE_S)
            self._stirred.clear()
            if self._mode() != self.scanning:
                return
            left = self._heard_at + self._silence_limit() - time.monotonic()
            if left <= 0:
                await self._end_silence()
                return
            await _any(min(left, _LOOK_UP_S), self.radio.lost, self._stirred)
        raise BleakError("the adapter is gone")

    def _silence_limit(self) -> float:
        return min(self._patience.silence * 2.0 ** max(self._silences - 1, 0), self._patience.silence_most)

    async def _end_silence(self) -> None:
        """A quiet home and a deaf scanner sound alike: begin gently, and cost nobody a link that lives."""
        self._silences += 1
        log.warning("%s heard nothing for %.0f s", self.radio.name, time.monotonic() - self._heard_at)
        if self.scanning == "passive":
            self._deaf_passively = True  # whatever is out of order, an emergency must not depend on it
        if self._silences % (6 if self._linked(self) else 2) == 0:
            await self._reset()

    def _heard(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        self._heard_at = time.monotonic()
        self._silences = 0
        self._heard_by(self, device, advertisement)

    async def connect(self, link: Link, calling: Callable[[], BLEDevice | None]) -> bool:
        """Connect, one device at a time; False when it stopped ``calling`` while others had their turn."""
        async with self._connecting:
            device = calling()
            if device is None:
                return False
            attempt = establish_connection(
                BleakClient,
                device,
                link.address,
                disconnected_callback=link.on_disconnected,
                max_attempts=1,  # whoever went away must not keep the others waiting: it will advertise again
                use_services_cache=False,
                **self.radio.client_options,
            )
            await within(self._patience.connect, link.made(attempt), grace_s=self._patience.grace)
        return True

    async def is_bonded(self, address: str) -> bool:
        """Whether this adapter has a bond with a device, as far as that can be known."""
        try:
            return await within(self._patience.scanner, self.radio.is_bonded(address))
        except TROUBLES:
            return False

    async def forget(self, address: str) -> None:
        """Forget the bond with a device, as far as that can be done."""
        with contextlib.suppress(*TROUBLES):
            await within(self._patience.scanner, self.radio.forget(address))


async def _any(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of them is set, at most so long."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def in_words(error: Exception) -> str:
    """What a person may read of an error."""
    if isinstance(error, Stuck):
        return "it hangs"
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
