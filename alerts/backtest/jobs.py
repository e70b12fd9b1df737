"""Running a backtest over the record: residents in parts, each read and judged under both protocols, on several cores."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

import numpy as np

from alerts import judging, protocol
from alerts.backtest.counts import SIDES, Comparison, Episode, Side, Watched, What, compare
from alerts.backtest.replay import NEVER, Assumed, Given, Past, Replay, Told
from alerts.engine import Batch
from alerts.parameters import Parameters
from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.rule import Rule, Statistic
from devices.readings import METRICS, METRICS_BY_CODE
from store import history
from store.history import PastAlert, Received, WatchedRow
from store.postgres import Connection, Database

MOST_DAYS: Final = 366
_WARM_UP: Final = timedelta(days=7)
"""So much is judged before what is counted, at least: silences of days and questions have begun by then."""
_PART: Final = 1_250
"""Residents judged together."""
_PARTS: Final = 8
"""At least so many parts, that progress can be seen and no core waits long for another."""
_WORTH_IT: Final = ("helped", "doctor", "hospital")
"""Outcomes by which those who went say that it was right to call them (clinicians.cases)."""
_MADE_OF: Final = tuple(METRICS[name].code for name in ("systolic", "diastolic", "pulse"))
"""Of these the rules core makes further values (alerts.rule.DERIVED)."""
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NothingToJudge(Exception):
    """Nobody was watched over in this period; the message says so in English."""


@dataclass(frozen=True, slots=True)
class Written:
    """A protocol as it is written: the text of each file by its name. ``version`` where the record names it."""

    texts: Mapping[str, str]
    version: str = ""

    def parsed(self) -> Protocol:
        """What it says; read once. Raises :class:`~alerts.protocol.ProtocolError`."""
        return _parsed(self.version, tuple(self.texts.items()))


@dataclass(frozen=True, slots=True)
class Question:
    """What to find out: two protocols, the period, and about whom.

    ``person``: as what this reader may see, and nothing else. ``centre``: of one centre.
    """

    against: Written
    new: Written
    since: datetime
    until: datetime
    person: UUID | None = None
    centre: int | None = None
    assumed: Assumed = field(default_factory=Assumed)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some residents, and what is known of them."""

    dsn: str
    question: Question
    begin: datetime
    enrolled: Mapping[int, datetime]
    profiles: Mapping[Side, Mapping[int, Profile]]
    past: Past


@dataclass(frozen=True, slots=True)
class _Judged:
    told: Mapping[Side, Told]
    readings: int


@lru_cache(maxsize=4)
def _parsed(version: str, written: tuple[tuple[str, str], ...]) -> Protocol:
    found = protocol.parse_all(dict(written), whole=True)
    return replace(found, version=version) if version else found


def answer(
    dsn: str, question: Question, jobs: int | None = None, tell: Callable[[float], None] | None = None
) -> Comparison:
    """Run a backtest; ``tell`` is called with the share that is done.

    ``jobs`` processes work on it, as many as there are cores when ``None``; with 1 this one does it all. Raises
    :class:`NothingToJudge`, :class:`~alerts.protocol.ProtocolError` or :class:`~store.postgres.Unavailable`.
    """
    protocols = _protocols(question)
    known = asyncio.run(_known(dsn, question, protocols))
    parts = list(known.parts(dsn, question))
    judged: list[_Judged] = []
    for one in _done(parts, jobs or os.cpu_count() or 1):
        judged.append(one)
        if tell:
            tell(len(judged) / (len(parts) + 1))
    told = {side: Told.joined([one.told[side] for one in judged]) for side in SIDES}
    return compare(
        protocols,
        told,
        known.watched,
        known.episodes,
        (question.since, question.until),
        sum(one.readings for one in judged),
        question.assumed,
        unrecorded(protocols.values()),
    )


def unrecorded(protocols: Iterable[Protocol]) -> frozenset[str]:
    """The rules on what no resident's record holds: their alerts are taken from the record as they were."""
    return frozenset(rule.id for one in protocols for rule in one.rules if _is_unrecorded(rule))


def _is_unrecorded(rule: Rule) -> bool:
    return any(limit.metric.name in history.UNRECORDED for limit in rule.when)


def _protocols(question: Question) -> Mapping[Side, Protocol]:
    return {"against": question.against.parsed(), "new": question.new.parsed()}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the record knows of everybody before anything is judged."""

    rows: Sequence[WatchedRow]
    watched: Watched
    begin: datetime
    profiles: Mapping[Side, Mapping[int, Profile]]
    past: Past
    episodes: Sequence[Episode]

    def parts(self, dsn: str, question: Question) -> Iterator[_Part]:
        size = max(min(_PART, -(-len(self.rows) // _PARTS)), 1)
        for first in range(0, len(self.rows), size):
            enrolled = {row.resident_id: row.enrolled_at for row in self.rows[first : first + size]}
            profiles = {side: {r: self.profiles[side][r] for r in enrolled} for side in SIDES}
            yield _Part(dsn, question, self.begin, enrolled, profiles, self.past.of(enrolled))


@asynccontextmanager
async def _connected(database: Database, question: Question) -> AsyncIterator[Connection]:
    """As the person who asks, where it is one: the database itself then shows no other residents."""
    way = database.service() if question.person is None else database.reader(question.person)
    async with way as c:
        yield c


async def _known(dsn: str, question: Question, protocols: Mapping[Side, Protocol]) -> _Known:
    since, until = question.since, question.until
    begin = since - max(_WARM_UP, *(_window(one) for one in protocols.values()))
    async with Database(dsn, max_size=1) as database, _connected(database, question) as c:
        rows = await history.watched(c, since, until, question.centre)
        residents = [row.resident_id for row in rows]
        past = await history.alerts(c, residents, begin, until)
        visits = await history.hospital_visits(c, residents, since, until)
        usual = {row.resident_id: Profile(zone=row.time_zone) for row in rows}
        profiles = {side: {**usual, **await judging.profiles(c, protocols[side])} for side in SIDES}
    if not rows:
        raise NothingToJudge("nobody was watched over in these days")
    ended = {row.resident_id: _us(row.left_at) for row in rows if row.left_at is not None}
    episodes = [Episode(visit.resident_id, visit.went_at, "hospital", visit.reason) for visit in visits]
    episodes += [e for e in map(_episode, past) if e is not None and since <= e.at < until]
    return _Known(
        rows,
        _watched(rows, question),
        begin,
        profiles,
        Past(_closed(past), _given(past, protocols.values()), ended),
        episodes,
    )


def _window(one: Protocol) -> timedelta:
    """How far back the rules of a protocol look."""
    statistics = [limit.statistic for rule in one.rules for limit in rule.when if limit.statistic]
    days = [rule.count.days_within for rule in one.rules] + [_looks_back(statistic) for statistic in statistics]
    return max(days, default=timedelta())


def _looks_back(statistic: Statistic) -> timedelta:
    return timedelta(days=28) if statistic.kind == "from_usual" else statistic.window + timedelta(days=1)


def _watched(rows: Sequence[WatchedRow], question: Question) -> Watched:
    since, until = _us(question.since), _us(question.until)
    return Watched(
        np.array([row.resident_id for row in rows], np.int32),
        np.array([max(_us(row.enrolled_at), since) for row in rows], np.int64),
        np.array([until if row.left_at is None else min(_us(row.left_at), until) for row in rows], np.int64),
        tuple(row.time_zone for row in rows),
    )


def _closed(past: Sequence[PastAlert]) -> Mapping[tuple[int, str, int], int]:
    return {
        (one.resident_id, one.rule, _us(one.happened_at)): NEVER if one.resolved_at is None else _us(one.resolved_at)
        for one in past
    }


def _given(past: Sequence[PastAlert], protocols: Iterable[Protocol]) -> list[Given]:
    rules = unrecorded(protocols)
    return [
        Given(
            one.resident_id,
            one.rule,
            _us(one.raised_at),
            NEVER if one.resolved_at is None else _us(one.resolved_at),
            one.called,
        )
        for one in past
        if one.rule in rules
    ]


def _episode(past: PastAlert) -> Episode | None:
    """What was true of an alert, by what those said who went."""
    outcome = (past.outcome or "").partition(":")[0]
    what: What
    if past.verdict == "fall":
        what = "fall"
    elif past.verdict is None and past.kind != "technical" and outcome in _WORTH_IT:
        what = "worth_it"
    else:
        return None
    return Episode(past.resident_id, past.happened_at, what, past.rule)


def _done(parts: Sequence[_Part], jobs: int) -> Iterator[_Judged]:
    if jobs <= 1 or len(parts) == 1:
        yield from map(_judge, parts)
        return
    # A fresh interpreter for each: a fork would take along whatever threads and locks its parent has.
    with ProcessPoolExecutor(min(jobs, len(parts)), mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from (done.result() for done in as_completed([pool.submit(_judge, part) for part in parts]))


def _judge(part: _Part) -> _Judged:
    return asyncio.run(_judge_part(part))


async def _judge_part(part: _Part) -> _Judged:
    question, waiting = part.question, list(part.enrolled)
    protocols = _protocols(question)
    metrics = heard(protocols.values())
    told: dict[Side, list[Told]] = {side: [] for side in SIDES}
    count = 0
    async with Database(part.dsn, max_size=1) as database:
        while waiting:
            async with _connected(database, question) as c:
                found, taken = await history.readings(
                    c, waiting, metrics, part.begin, question.until, as_reader=question.person is not None
                )
            enrolled = {resident: _time(part.enrolled[resident]) for resident in waiting[:taken]}
            waiting, count = waiting[taken:], count + len(found)
            past, span = part.past.of(enrolled), (_time(part.begin), _time(question.until))
            for side in SIDES:
                machine = Replay(protocols[side], part.profiles[side], past, question.assumed)
                told[side].append(machine.run(_batch(found), span, enrolled))
    return _Judged({side: Told.joined(parts) for side, parts in told.items()}, count)


def heard(protocols: Iterable[Protocol]) -> list[int]:
    """The codes of the metrics to read: those that a rule hears, and of which one is made that a rule hears."""
    codes = np.array(list(METRICS_BY_CODE), np.int16)
    columns = np.stack([Parameters(one).column_of(codes) for one in protocols])
    return sorted({*codes[(columns >= 0).any(0)].tolist(), *_MADE_OF})


def _batch(found: Received) -> Batch:
    return Batch(found.resident, found.metric, found.at, found.value, found.quality, found.device, found.received)


def _us(moment: datetime) -> int:
    return (moment - _ZERO) // timedelta(microseconds=1)


def _time(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
