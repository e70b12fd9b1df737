"""Wearables that stream acceleration: what they have in common. A driver brings the bytes, the start and the times.

Packets become samples with times (``devices.falls.times``), are read at one rate and watched for falls
(``devices.falls.watch``). A link is kept for as long as it holds.
"""

from __future__ import annotations

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple, TypeVar

import numpy as np
from bleak.backends.scanner import AdvertisementData

from devices.desk import Desk
from devices.drivers.driver import Configured, Visited, keep_battery, read_battery, read_identity
from devices.drivers.pace import Pace, SampleClock, Sensor, Verdict, nanoseconds
from devices.drivers.wearing import Blow, Wearing
from devices.falls import FallEvent
from devices.falls.features import RATE_HZ, Samples
from devices.falls.model import Position
from devices.falls.watch import Found, Kept, State, Told, Watch
from devices.falls.wearer import bounds
from devices.falls.worn import Charging
from devices.gatt import battery, immediate_alert
from devices.gatt.errors import DecodeError
from devices.habits import Habits
from devices.link import Link
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading
from devices.recording import Recording

log = logging.getLogger(__name__)

T = TypeVar("T")

SILENT_S: Final = 15.0  # a stream that says nothing for so long is a dead link
_REFUSALS_S: Final = 10.0  # between two refused packets that are kept: fifty a second may be wrong
_MG: Final = 1000.0
_INT16: Final = np.iinfo(np.int16)


class _Shown(NamedTuple):
    """What was said of a stream: how it is heard, and that nobody wears the device."""

    verdict: Verdict
    is_off: bool


_NOTHING_SHOWN: Final = _Shown(Verdict.GOOD, is_off=False)


class Stream(Visited):
    """One wearable of the home. ``names`` are how the names begin that such devices advertise.

    A driver implements :meth:`start`, in which it tells :meth:`expect` how the device measures before the first packet,
    and hands what it decodes to :meth:`arrived`.
    """

    names: ClassVar[tuple[str, ...]] = ()
    seen_by_stream: ClassVar[bool] = True
    worn_at: ClassVar[Position] = "wrist"
    """Where such a device is worn, unless its habits say otherwise."""

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._name: str | None = None
        self._wearing = Wearing(self.address, desk)
        self._charging = Charging(charging=self._wearing.charging)
        self._watch = self._begin_watch()
        self._sensor = Sensor(RATE_HZ)
        self._times = self._sensor.times()
        self._clock = SampleClock()
        self._pace = Pace(RATE_HZ)
        self._refused_at: datetime | None = None
        self._heard_any = False
        self._shown = _NOTHING_SHOWN
        self._told: str | None = None
        self._link: Link | None = None
        self.gaps = 0
        self._tell_unjudged()

    @classmethod
    def recognises(cls, advertisement: AdvertisementData) -> bool:
        """Whether it advertises the service of this kind, or a name that such devices have."""
        return super().recognises(advertisement) or (advertisement.local_name or "").startswith(cls.names)

    def calls(self, advertisement: AdvertisementData) -> bool:
        """A wearable is listened to whenever it is there: few of them advertise the service they stream with."""
        self._name = advertisement.local_name or self._name
        return True

    def forget(self) -> None:
        """Forget its wearer."""
        self._wearing.forget()

    @abstractmethod
    async def start(self, link: Link) -> bool:
        """Subscribe, then start the stream; False when it does not start, after the trouble was told."""

    async def collect(self, link: Link) -> None:
        """Listen to the stream until the link ends."""
        self._interrupted()
        self._know_where()
        self._link = link
        if not await self.start(link):
            return
        await link.subscribe(battery.UUID, self.battery)
        with contextlib.suppress(OutboxFull):  # a disk that takes no battery's level takes no watch over falls away
            await read_battery(link, self.desk)
        self._note_battery()
        await read_identity(link, self.desk)
        try:
            await link.quiet_for(SILENT_S)
        finally:  # also when the gateway stops: somebody may just have fallen
            self._keep_all(self._watch.interrupt())
        if not link.ended.is_set():
            self.desk.trouble(self.address, "its movement data have stopped: falls are not noticed")

    async def buzz(self, *, on: bool) -> bool:
        """Let it vibrate, or be still again, by the link there is."""
        link = self._link
        return link is not None and not link.ended.is_set() and await self.alert(link, on=on)

    async def alert(self, link: Link, *, on: bool) -> bool:
        """Tell the device to vibrate, or to be still; False when it has nothing to do so."""
        level = immediate_alert.Level.HIGH if on else immediate_alert.Level.NONE
        return await link.command(immediate_alert.SERVICE, immediate_alert.ALERT_LEVEL, immediate_alert.encode(level))

    async def listen(self, link: Link, uuid: str, callback: Callable[[bytes], None]) -> bool:
        """Subscribe to acceleration; False, after the trouble was told, when the device has none."""
        if await link.subscribe(uuid, callback):
            return True
        self.desk.trouble(self.address, "this device offers no acceleration")
        return False

    def cannot_start(self, why: str) -> bool:
        """Tell that the device did not do as it was asked. Always False."""
        self.desk.trouble(self.address, f"its movement sensor could not be started: {why}")
        return False

    def expect(self, sensor: Sensor) -> None:
        """This is how the device will measure, from the next packet on."""
        self._sensor = sensor
        self._pace = Pace(sensor.rate_hz)
        self._shown = _NOTHING_SHOWN
        self._interrupted()
        self._judge()

    def decoded(self, decode: Callable[[bytes], T], uuid: str, raw: bytes) -> T | None:
        """A packet's value; None when it has none, after it was refused."""
        try:
            return decode(raw)
        except DecodeError as error:
            now = self.desk.now()
            if self._refused_at is None or abs(now - self._refused_at) >= timedelta(seconds=_REFUSALS_S):
                self.desk.refuse(self.address, uuid, raw, error.reason)
                self._refused_at = now
            return None

    def arrived(self, samples: Samples, last_ns: int | None = None, *, follows: bool = True) -> None:
        """Take the samples of a packet, (n, 3) in g, the last of them taken at ``last_ns`` by the device's clock.

        Without ``last_ns`` they are timed by their arrival. ``follows``: none is known to be missing before them.
        """
        now = self.desk.now()
        times, unbroken = self._times.stamp(nanoseconds(now) if last_ns is None else last_ns, len(samples))
        if not len(times):
            return
        if not (follows and unbroken):
            self._missed(now)
        self._clock.arrived(int(times[-1]), now)
        self._pace.heard(int(times[-1]), len(samples))
        self._judge()
        if self._shown.verdict is Verdict.BLIND:
            self._keep_all(self._watch.interrupt())
            return
        self.desk.of(self.address).last_seen_at = now
        if self._watch.worn.worn is not False and self._wearing.moved(samples, self._pace.rate_hz):
            self._aim()
        self._keep_all(self._watch.feed(times, samples))

    def battery(self, raw: bytes) -> None:
        """Take a battery level: one that rises is being charged."""
        keep_battery(self.address, raw, self.desk)
        self._note_battery()

    def _note_battery(self) -> None:
        percent, was = self.desk.of(self.address).battery_pct, self._charging.now
        if percent is not None and self._charging.level(percent, self.desk.now()) != was:
            self._tell_charging()

    def _tell_charging(self) -> None:
        now = self._watch.worn.charging = self._charging.now
        facts = self._wearing.changed(charging=now)
        self._keep_state("charging", float(now), self.desk.now(), {}, facts)

    @property
    def position(self) -> Position:
        """Where it is worn. Raises ``ValueError`` for a configured habit that there is not."""
        health = self.desk.of(self.address)
        habits = Habits.of(self._name, health.manufacturer, health.model, self.device.habits)
        return self.worn_at if habits.worn_at == "usual" else habits.worn_at

    def _know_where(self) -> None:
        if self.position != self._watch.position:
            self._watch = self._begin_watch()

    def _begin_watch(self) -> Watch:
        watch = Watch(self.position, judge=self.desk.falls, worn=self._wearing.worn)
        watch.worn.charging = self._charging.now
        watch.threshold = self._aimed()
        return watch

    def _aim(self) -> None:
        self._watch.threshold = self._aimed()

    def _aimed(self) -> float:
        """The operating point for this wearer, told with the heartbeat."""
        found = self._wearing.point(bounds(self.desk.falls.thresholds[self.position]))
        self.desk.of(self.address).falls = found
        return found.threshold

    def _missed(self, now: datetime) -> None:
        if self._heard_any:
            self.gaps += 1
            self._pace.missed(now)
            log.info("%s: samples are missing, for the %d. time", self.address, self.gaps)
        self._keep_all(self._watch.interrupt())
        self._clock = SampleClock()
        self._heard_any = True

    def _interrupted(self) -> None:
        """The stream begins anew, and nothing is missing from what has not begun."""
        self._keep_all(self._watch.interrupt())
        self._times = self._sensor.times()
        self._clock = SampleClock()
        self._heard_any = False

    def _judge(self) -> None:
        """Say what this stream cannot show, and take it back when it can: nobody must think himself watched."""
        now = _Shown(self._pace.verdict(self._sensor.range_g, self.desk.now()), self._watch.worn.worn is False)
        if now == self._shown:
            return
        if now.verdict is Verdict.BLIND:
            self.desk.trouble(self.address, "its movement data come too slowly: falls are not noticed")
        elif now.is_off:
            self.desk.trouble(self.address, "is not worn: falls are not noticed")
        elif now.verdict is Verdict.BROKEN:
            self.desk.trouble(self.address, "parts of its movement data are missing: a fall may not be noticed")
        elif now.verdict is Verdict.COARSE:
            self.desk.trouble(self.address, "its movement sensor is coarse: some falls are not noticed")
        elif self.desk.of(self.address).trouble == self._told:
            self.desk.well(self.address)
        self._shown, self._told = now, self.desk.of(self.address).trouble

    def _keep_all(self, found: list[Found]) -> None:
        for one in found:
            if isinstance(one, Told):
                with contextlib.suppress(OutboxFull):  # that was said, and it is sent all the same
                    self._tell(one.event, self._clock.time(one.at_ns))
            elif isinstance(one, State):
                self._tell_state(one, self._clock.time(one.at_ns))
            else:
                self._keep_recording(one)

    def _tell(self, event: FallEvent, at: datetime) -> None:
        if event.kind == "dismissed":
            self._wearing.dismissed(event.probability, at)
            return
        if event.kind == "recovered":
            self.keep_event("fall_recovered", 1.0, at, {}, self._quality)
            return
        detail = {
            "impact_g": event.impact_g,
            "free_fall_ms": event.free_fall_ms,
            "stillness_s": event.stillness_s,
            "posture_change_deg": event.posture_change_deg,
        }
        if event.kind == "pending":
            self._wearing.pending(Blow(at, event.probability, detail))
        else:
            self._tell_fall(Blow(at, event.probability, detail), self._quality)

    def _tell_fall(self, blow: Blow, quality: Quality) -> None:
        self._wearing.fell(blow.probability, blow.at)
        self.keep_event("fall", blow.probability, blow.at, blow.detail, quality, self._wearing.judged())

    def _tell_unjudged(self) -> None:
        """A blow that nobody judged, for the gateway stopped, is told for what it seemed: who fell may have cut the power."""
        blow = self._wearing.left_unjudged()
        if blow is not None:
            with contextlib.suppress(OutboxFull):
                self._tell_fall(blow, Quality.NO_DEVICE_TIME)

    def _tell_state(self, state: State, at: datetime) -> None:
        facts = self._wearing.changed(worn=state.value == 1) if state.metric == "worn" else self._wearing.judged()
        self._keep_state(state.metric, state.value, at, state.detail, facts)
        if state.metric == "worn" and state.value and self._charging.now:
            self._charging.worn()
            self._tell_charging()
        self._judge()

    def _keep_state(
        self, metric: str, value: float, at: datetime, detail: dict[str, float], facts: Mapping[str, str]
    ) -> None:
        """Keep how the device is. That a full disk does not take it was said, and what comes next may be a fall."""
        with contextlib.suppress(OutboxFull):
            self.keep_event(metric, value, at, detail, self._quality, facts)

    @property
    def _quality(self) -> Quality:
        return Quality.NONE if self._sensor.timed else Quality.NO_DEVICE_TIME

    def _keep_recording(self, kept: Kept) -> None:
        milli_g = np.clip(np.rint(kept.samples * _MG), _INT16.min, _INT16.max).astype(np.int16)
        started_at = self._clock.time(kept.started_ns)
        self.desk.keep_recording(Recording(self.address, started_at, RATE_HZ, milli_g, "fall"))

    def keep_event(
        self,
        metric: str,
        value: float,
        at: datetime,
        detail: dict[str, float],
        quality: Quality,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what happened to the wearer, and ``facts`` with it. Raises ``OutboxFull`` after it was told, loudly."""
        reading = Reading(self.address, metric, value, at, self.desk.now(), quality, detail=detail)
        if metric == "said_well":
            self._wearing.said_well(at)
        try:
            self.desk.keep([reading], facts=facts)
        except OutboxFull as error:
            # A notification cannot be asked for again: say so, loudly.
            self.desk.trouble(self.address, f"{metric} could not be kept: {error}")
            raise
