"""The ear for silence: how long each gateway and each device has said nothing, told to the watch as readings.

Conditions that no device can report of itself are measured here once a minute: ``gateway_silence`` in hours,
``device_silence`` in the device's own longest usual pauses (:mod:`alerts.rhythm`), and for how long no wearable was
worn (:mod:`alerts.wear`). They enter the feed, so the rules
of a protocol decide what is a task, what is a call, and when it is over. A silence is told every quarter of an hour,
its end once.

What follows from another cause is not told:

- While a gateway is silent, or still has much to send, its devices are not asked about; once it has caught up their
  silence counts from then.
- While this service did not listen itself, nobody was silent.
- A device that its gateway cannot hear (:data:`CANNOT_BE_HEARD`) is silent at once, whatever its rhythm, also one that
  never spoke or speaks only when pressed: nobody would find out before the press that matters.
- When of many gateways not one is heard the fault is ours: it is in the log and in the figures, and calls nobody. As
  long as one is heard it is theirs, and a blackout of half a town has everybody in it looked after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client import Gauge

from alerts import rhythm, wear
from alerts.habits import Known, find, picked
from alerts.worker import utc_now
from devices.readings import METRICS_BY_CODE, Kind
from store import feed, silence
from store.feed import FeedBatch, Position, WatchState
from store.postgres import Connection, Database, Unavailable
from store.silence import Devices

log = structlog.get_logger(__name__)

NAME: Final = "silence"

SILENT_GATEWAYS: Final = Gauge(
    "hearthwatch_silence_gateways", "Gateways that have been silent for a quarter of an hour."
)
SILENT_DEVICES: Final = Gauge("hearthwatch_silence_devices", "Devices silent for longer than is usual for them.")
OUR_FAULT: Final = Gauge("hearthwatch_silence_ours", "1 while no gateway at all is heard: the fault is ours.")

_EVERY_S: Final = 60.0
_AWAY_S: Final = 5.0
_BATCHES: Final = 500
_REMEMBERED: Final = timedelta(days=28)
DEAF_AFTER: Final = timedelta(minutes=5)
"""After such a pause of this service itself every silence counts anew."""
_SETTLES: Final = timedelta(minutes=2)
"""After a start of this service: time for every gateway to find it again."""
_SILENT_H: Final = 0.25
"""A gateway beats every half minute; for a quarter of an hour it may be started anew, or its line be cut."""
_TOLD_EVERY: Final = timedelta(minutes=15)
_UNUSUAL: Final = 1.0
CANNOT_BE_HEARD: Final = (
    "it counts from the start again",
    "it has no key",
    "its key does not fit",
    "it does not encrypt what it says",
    "its pairing is lost",
    "this device does not offer what its kind measures",
    "this device offers no acceleration",
    "this type pairs only with digits",
    "this type speaks no standard service",
    "this gateway does not know devices of the kind",
    "the configuration of this device cannot be read",
)
"""How the troubles of a device begin that last until somebody sees to it, and with which nothing it says is heard."""
_HEARD: Final = np.timedelta64(30, "m")
"""A wearable calls all the time: one that was not heard for so long is not there, or has no power."""
_DEAF: Final = 2.0
"""What such a device counts as, at least: as a day's habit missed for the second time, which is a task. House default."""
_BEHIND: Final = 500
"""So many readings waiting on a gateway are from an outage: what its devices said lately is still to come."""
_SEVERAL: Final = 10
_LEARN_EVERY: Final = timedelta(days=1)
_LONG_AGO: Final[np.datetime64] = np.datetime64(0, "us")
_HOUR: Final = np.timedelta64(1, "h")

_MEASURES: Final = np.array(
    [code in METRICS_BY_CODE and METRICS_BY_CODE[code].kind in (Kind.VITAL, Kind.AMBIENT) for code in range(256)]
)


class Silence:
    """Listens for silence in the record. ``clock`` says what time it is; after a pause of ``deaf_after`` it was deaf."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime] = utc_now, deaf_after: timedelta = DEAF_AFTER
    ) -> None:
        self._database = database
        self._clock = clock
        self._deaf_after = deaf_after
        self._known: Known | None = None
        self._state: WatchState | None = None
        self._learned_at: datetime | None = None
        self._told_at: datetime | None = None
        self._taken_up_at = datetime.min.replace(tzinfo=UTC)
        self._listening_since: np.datetime64 = _LONG_AGO

    async def run(self) -> None:
        """Listen until cancelled. While the database is away it waits."""
        while True:
            try:
                wait_s = 0.0 if await self.round() else _EVERY_S
            except Unavailable as error:
                log.warning("silence_waits_for_database", error=str(error), retry_s=_AWAY_S)
                wait_s = _AWAY_S
            await asyncio.sleep(wait_s)

    async def round(self) -> bool:
        """Listen once; whether there may be more that has been said already. Silence is told only when there is not."""
        try:
            if self._known is not None:
                await self._learn(self._known)
            async with self._database.service() as c:
                if await silence.lock(c):
                    return await self._listen(c)
                self._known = None
                return False
        except BaseException:
            self._known = None  # it may be ahead of the record: to be loaded again
            raise

    async def _listen(self, c: Connection) -> bool:
        now = self._clock()
        known, place = await self._take_up(c, now)
        if self._learned_at is None:
            await self._save(c, known, place, now)
            return True
        batch = await feed.next_batch(c, place, _BATCHES)
        devices = await silence.devices(c, now, CANNOT_BE_HEARD)
        _hear(known, batch, devices)
        if batch is None and now - self._taken_up_at >= _SETTLES:
            await self._tell(c, known, devices, now)
        await self._save(c, known, place if batch is None else batch.position, now)
        return batch is not None

    async def _save(self, c: Connection, known: Known, place: Position, now: datetime) -> None:
        await known.save(c)
        await feed.save_state(c, NAME, place, "", now)
        self._known, self._state = known, await feed.load_state(c, NAME)

    async def _take_up(self, c: Connection, now: datetime) -> tuple[Known, Position]:
        """What the record knows, and how far it has been read: what is at hand, unless another process has listened."""
        state = await feed.load_state(c, NAME)
        if state is None or state.clock is None or now - state.clock > self._deaf_after:
            self._listening_since = _numpy(now)
        if self._known is not None and state is not None and state == self._state:
            return self._known, Position(state.tx, state.seq)
        self._learned_at, self._taken_up_at = None, now
        known = Known(await silence.habits(c, rhythm.BYTES))
        if state is not None:
            return known, Position(state.tx, state.seq)
        place = await feed.end(c)
        known.note(*await silence.spoken_before(c, now - _REMEMBERED, rhythm.SLOT_US / 1e6), measured=True)
        return known, place

    async def _learn(self, known: Known) -> None:
        """Learn every rhythm once a day, beside the loop and with no transaction open: for ten thousand homes it takes
        some seconds."""
        now = self._clock()
        if self._learned_at is None or now - self._learned_at >= _LEARN_EVERY:
            await asyncio.to_thread(known.learn)
            self._learned_at = now

    async def _tell(self, c: Connection, known: Known, devices: Devices, now: datetime) -> None:
        away = np.maximum(_numpy(now) - np.maximum(devices.gateway_seen, self._listening_since), _HOUR * 0)
        away_h = away / _HOUR
        if _is_ours(devices, away_h):
            self._listening_since = _numpy(now)
            return
        await _tell_of_gateways(c, devices, away_h, now)
        answers = (away_h < _SILENT_H) & (devices.gateway_waiting < _BEHIND)
        again = self._told_at is None or now - self._told_at >= _TOLD_EVERY
        self._told_at = now if again else self._told_at
        await _tell_of_devices(c, known, devices, answers, now, self._listening_since, again=again)
        heard = answers & (devices.deaf == 0) & (_numpy(now) - devices.seen < _HEARD)
        await wear.tell(c, set(devices.device[heard].tolist()), now)


def _hear(known: Known, batch: FeedBatch | None, devices: Devices) -> None:
    """Note who has spoken: by a measurement or, where none ever came, by being heard; and who cannot be heard."""
    if batch is not None:
        measured = _MEASURES[np.clip(batch.metric, 0, len(_MEASURES) - 1)] & (batch.device_id > 0)
        known.note(batch.device_id[measured], batch.at[measured], measured=True)
    seen = devices.seen > _LONG_AGO
    known.note(devices.device[seen], devices.seen[seen], measured=False)
    known.expect(devices.device[devices.deaf != 0])


def _is_ours(devices: Devices, away_h: NDArray[np.float64]) -> bool:
    gateways, first = np.unique(devices.gateway, return_index=True)
    away = int((away_h[first] >= _SILENT_H).sum())
    ours = away >= _SEVERAL and away == len(gateways)
    SILENT_GATEWAYS.set(away)
    OUR_FAULT.set(ours)
    if ours:
        log.error("no_gateway_is_heard", silent=away, hint="can this service be reached?")
    return ours


async def _tell_of_gateways(c: Connection, devices: Devices, away_h: NDArray[np.float64], now: datetime) -> None:
    """Tell of each resident how silent her gateway is; of the most silent one where she has several.

    In the place of a device stands the gateway's number, made negative: no device has such a one.
    """
    order = np.lexsort((-away_h, devices.resident))
    residents, first = np.unique(devices.resident[order], return_index=True)
    away, gateway = away_h[order][first], devices.gateway[order][first]
    told_of, told, told_at, told_by = await silence.told(c, "gateway_silence")
    row, was = find(told_of, residents)
    told_h = picked(told, row, was, 0.0)
    is_due = _numpy(now) - picked(told_at, row, was, _LONG_AGO) >= np.timedelta64(_TOLD_EVERY)
    tell = np.where(away >= _SILENT_H, is_due | (told_h < _SILENT_H), told_h >= _SILENT_H)
    # Who was behind a silent gateway and is behind none any more, or behind another: that is over, and said of that one.
    now_by = np.zeros_like(told_by)
    now_by[row[was]] = -gateway[was]
    gone = (told >= _SILENT_H) & (now_by != told_by)
    await silence.tell(
        c,
        now,
        "gateway_silence",
        np.concatenate([told_of[gone], residents[tell]]),
        np.concatenate([told_by[gone], -gateway[tell]]),
        np.concatenate([np.zeros(gone.sum()), away[tell]]),
    )


async def _tell_of_devices(
    c: Connection,
    known: Known,
    devices: Devices,
    answering: NDArray[np.bool_],
    now: datetime,
    since: np.datetime64,
    *,
    again: bool,
) -> None:
    """Tell which devices are silent for longer than usual, and which are so no more; ``again`` also what was told."""
    place, watched = find(devices.device, known.device)
    answers = picked(answering, place, watched, False)
    known.note_answers(answers, _numpy(now))
    silent = np.where(answers, _silent(known, devices, place, watched, since, now), 0.0)
    is_silent, was_silent = silent >= _UNUSUAL, known.told >= _UNUSUAL
    SILENT_DEVICES.set(int(is_silent.sum()))
    tell = np.flatnonzero((is_silent & (again | ~was_silent)) | (was_silent & ~is_silent & (answers | ~watched)))
    known.resident[watched] = devices.resident[place[watched]]
    known.tell(tell, silent[tell])
    await silence.tell(c, now, "device_silence", known.resident[tell], known.device[tell], silent[tell])


def _silent(
    known: Known,
    devices: Devices,
    place: NDArray[np.intp],
    watched: NDArray[np.bool_],
    since: np.datetime64,
    now: datetime,
) -> NDArray[np.float64]:
    """How silent each known device is while its gateway answers; one that cannot be heard is, however lately it spoke."""
    waits = picked(devices.waits, place, watched, 0) != 0
    deaf = picked(devices.deaf, place, watched, 0) != 0
    usual = known.pace.known | (known.spoke & ~waits)
    silent = np.where(usual, known.silence(since, _numpy(now)), 0.0)
    return np.where(deaf, np.maximum(silent, _DEAF), silent)


def _numpy(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
