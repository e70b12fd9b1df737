"""One resident at a time: how the watch goes on when a round has failed.

The rules core judges every resident by herself, so each can have a core of her own. Whatever makes hers fail is set
aside, loudly: a reading in quarantine, a state that cannot be taken up any more, or what was decided about her.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import structlog
from prometheus_client import Counter

from alerts.engine import Batch, Engine
from alerts.measurements import Rows
from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.verdicts import Verdicts, let_go_of_closed
from store import feed, partitions
from store.alerts import Prompt
from store.feed import FeedBatch
from store.partitions import Share
from store.postgres import Connection, Unavailable, part
from store.readings import utc

log = structlog.get_logger(__name__)

SET_ASIDE: Final = Counter(
    "hearthwatch_watch_set_aside_total", "What the watch could not judge and set aside, by what it was.", ["what"]
)
REASON: Final = "not_judged"
"""The quarantine's code for a reading at which the rules core failed; after it stands the kind of error."""


@dataclass(slots=True)
class Apart:
    """Judges residents one by one up to ``upto``, in a transaction that holds their partitions and has moved them on.

    ``now`` is the time, when people are called. ``asked`` is what residents were being asked before: a state that is
    forgotten, or that comes from another protocol, may not know of it.
    """

    c: Connection
    share: Share
    protocol: Protocol
    profiles: Mapping[int, Profile]
    asked: Sequence[Prompt]
    now: datetime
    upto: datetime

    async def judge(self, readings: FeedBatch | None, columns: Batch) -> None:
        """Judge what came, given as it was read and as the rules core takes it, and let every timer run."""
        rows = await partitions.load_rows(self.c, self.share)
        for resident in sorted({*rows, *columns.resident.tolist()}):
            hers = np.flatnonzero(columns.resident == resident)
            row = await self._up_to_the_first(resident, rows.get(resident), columns, hers)
            try:
                await self._step(resident, row, readings, columns, hers, self.upto)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, it must not stop the others
                log.warning("resident_judged_reading_by_reading", resident=resident, error=type(error).__name__)
                await self._one_by_one(resident, row, readings, columns, hers)

    async def _up_to_the_first(self, resident: int, row: bytes | None, columns: Batch, hers: Rows) -> bytes | None:
        """Her row when her first reading comes; a row that cannot get so far is forgotten, and no reading is to blame."""
        asked = [prompt for prompt in self.asked if prompt.resident_id == resident]
        now = self._received(columns, hers[0]) if len(hers) else self.upto
        return await self._timers(resident, row, columns, now, asked)

    async def _timers(
        self, resident: int, row: bytes | None, columns: Batch, now: datetime, asked: Sequence[Prompt] = ()
    ) -> bytes | None:
        try:
            return await self._step(resident, row, None, columns, _NONE, now, asked)
        except Unavailable:
            raise
        except Exception:
            SET_ASIDE.labels("state").inc()
            log.exception("watch_row_set_aside", resident=resident, hint="she is watched anew from now on")
            await partitions.forget_row(self.c, resident)
            return await self._timers(resident, None, columns, now, asked) if row is not None and asked else None

    async def _one_by_one(
        self, resident: int, row: bytes | None, readings: FeedBatch | None, columns: Batch, hers: Rows
    ) -> None:
        for i in hers:
            try:
                row = await self._step(resident, row, readings, columns, i[None], self._received(columns, i))
            except Unavailable:
                raise
            except Exception as error:
                SET_ASIDE.labels("reading").inc()
                log.exception("reading_set_aside", resident=resident, metric=int(columns.metric[i]))
                assert readings is not None, "a reading was read"
                await feed.set_aside(self.c, readings, int(i), f"{REASON}:{type(error).__name__}")
        await self._timers(resident, row, columns, self.upto)

    def _received(self, columns: Batch, row: np.intp) -> datetime:
        return self.upto if columns.received is None else utc(columns.received[row])

    async def _step(
        self,
        resident: int,
        row: bytes | None,
        readings: FeedBatch | None,
        columns: Batch,
        which: Rows,
        now: datetime,
        asked: Sequence[Prompt] = (),
    ) -> bytes | None:
        """Judge some of one resident's readings with all that follows, or nothing of it; returns her row afterwards."""
        async with part(self.c):
            engine = self._core(resident, row, self._received(columns, which[0]) if len(which) else now)
            engine.ask_again((p.resident_id, p.rule, _numpy(p.asked_at), _numpy(p.until)) for p in asked)
            await let_go_of_closed(self.c, engine, columns[which])
            firings = engine.step(columns[which], _numpy(now))
            await Verdicts(self.c, self.protocol, self.now).carry_out(firings)
            changed = engine.dirty_rows()
            await partitions.save_rows(self.c, changed)
            if readings is not None and len(which):
                await feed.save_latest(self.c, readings.where(which))
        return changed.get(resident, row)

    def _core(self, resident: int, row: bytes | None, since: datetime) -> Engine:
        engine = Engine(self.protocol)
        if row is not None:
            engine.load_rows({resident: row})
        if resident in self.profiles:
            engine.enrol([resident], _numpy(since))
            engine.assign({resident: self.profiles[resident]})
        return engine


_NONE: Final = np.zeros(0, np.intp)


def _numpy(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
