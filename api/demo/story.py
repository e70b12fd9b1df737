"""The story of the first two minutes: four homes in which something happens, and who comes.

The director moves only what a person in the street would move: an arm in a cuff, a fall, a button, a battery, and
a care worker's thumb on her phone. Everything else is the service's own doing. A chapter whose alert is there
already goes on from there, so an interrupted story continues where it stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from api.demo.observer import Journal
from api.demo.seed import Household, Seeded
from api.demo.waiting import until
from devices.virtual.control import Street
from store import alerts, messages, people, replies
from store.alerts import AlertRow
from store.postgres import Database

REST_S: Final = 15.0
"""The resident is asked to rest five minutes; in the story they pass in a quarter of one."""
_THINKS_S: Final = 7.0
_LOW_BATTERY_PCT: Final = 8
_SEVERE_HOME, _FALL_HOME, _HELP_HOME, _BATTERY_HOME = 1, 5, 3, 13
_WAIT_S: Final = 90.0
_LOOKS_AGAIN_S: Final = 3.0
_WAITING: Final = ("raised", "notifying")


@dataclass(frozen=True, slots=True)
class Stage:
    """All that the director needs: the record to look into, the street to move, the phones to answer on."""

    database: Database
    journal: Journal
    street: Street
    seeded: Seeded
    phones_url: str
    progress: Path


async def tell(stage: Stage) -> None:
    """Tell what has not been told yet. ``TimeoutError`` when something that must follow does not."""
    told = set(json.loads(stage.progress.read_text())) if stage.progress.exists() else set()
    chapters: dict[str, Callable[[Stage], Coroutine[Any, Any, None]]] = {
        "severe": _severe,
        "fall": _fall,
        "help": _help,
        "battery": _battery,
    }
    async with asyncio.TaskGroup() as group:
        for name, chapter in chapters.items():
            if name not in told:
                group.create_task(_tell_one(stage, name, chapter, told))
    await stage.journal.add("story_told")


async def _tell_one(
    stage: Stage, name: str, chapter: Callable[[Stage], Coroutine[Any, Any, None]], told: set[str]
) -> None:
    await chapter(stage)
    told.add(name)
    stage.progress.write_text(json.dumps(sorted(told)))
    await stage.journal.add("chapter_told", chapter=name)


async def _severe(stage: Stage) -> None:
    home = stage.seeded.homes[_SEVERE_HOME]
    if await _open(stage, home, "bp.severe") is None:
        await asyncio.sleep(3)
        await _measure(stage, home, 192, 118, 96)
        await stage.journal.until("asked", _WAIT_S, resident=home.resident_id, rule="bp.severe")
        await asyncio.sleep(REST_S)
        await _measure(stage, home, 188, 116, 94)
    await _somebody_takes(stage, home, "bp.severe")


async def _fall(stage: Stage) -> None:
    home = stage.seeded.homes[_FALL_HOME]
    if await _open(stage, home, "fall") is None:
        await asyncio.sleep(14)
        wearable = home.home.twin("wearable").address
        await until(lambda: _is_listened_to(stage, wearable), _WAIT_S, _LOOKS_AGAIN_S / 6)
        await stage.street.do(wearable, "fall")
        await stage.journal.add("fell", resident=home.resident_id, name=home.home.human.name_en)
    await _somebody_takes(stage, home, "fall")


async def _is_listened_to(stage: Stage, wearable: str) -> bool:
    return bool((await stage.street.do(wearable, "state"))["links"])


async def _help(stage: Stage) -> None:
    home = stage.seeded.homes[_HELP_HOME]
    if await _open(stage, home, "help_call") is None:
        await asyncio.sleep(38)
        await stage.street.do(home.home.twin("help_button").address, "press")
        await stage.journal.add("pressed", resident=home.resident_id, name=home.home.human.name_en)
    await _somebody_takes(stage, home, "help_call")


async def _battery(stage: Stage) -> None:
    home = stage.seeded.homes[_BATTERY_HOME]
    if await _open(stage, home, "device.battery") is None:
        await asyncio.sleep(26)
        await stage.street.do(home.home.twin("blood_pressure").address, "battery", level=_LOW_BATTERY_PCT)
        await stage.journal.add("battery_low", resident=home.resident_id, level=_LOW_BATTERY_PCT)
        await stage.journal.until("raised", _WAIT_S, resident=home.resident_id, rule="device.battery")


async def _measure(stage: Stage, home: Household, systolic: int, diastolic: int, pulse: int) -> None:
    address = home.home.twin("blood_pressure").address
    await stage.street.do(address, "measure", systolic=systolic, diastolic=diastolic, pulse=pulse)
    await stage.journal.add(
        "measured",
        resident=home.resident_id,
        name=home.home.human.name_en,
        systolic=systolic,
        diastolic=diastolic,
        pulse=pulse,
    )


async def _somebody_takes(stage: Stage, home: Household, rule: str) -> None:
    """Wait for the call, then answer it as the care worker would, unless somebody has done so meanwhile."""
    if await _open(stage, home, rule) is None:
        await stage.journal.until("raised", _WAIT_S, resident=home.resident_id, rule=rule)
    alert = await _open(stage, home, rule)
    if alert is not None and alert.state in _WAITING:
        number = await _called(stage, alert)
        await asyncio.sleep(_THINKS_S)
        await until(lambda: _answer(stage, home, rule, number), _WAIT_S, _LOOKS_AGAIN_S)


async def _answer(stage: Stage, home: Household, rule: str, number: str) -> bool:
    """Reply from the phone unless that is no longer needed; whether somebody has the alert now."""
    async with stage.database.service() as c:
        alert = await alerts.open_of(c, home.resident_id, rule)
        person = await people.person_by_phone(c, number)
        called_to = (
            [] if person is None else await replies.called_to(c, person.id, datetime.now(UTC) - timedelta(days=1))
        )
    if alert is None or alert.state not in _WAITING:
        return True
    waiting = {called.resident_id for called in called_to if called.state in _WAITING}
    body = "1" if waiting == {home.resident_id} else f"1 {alert.reply_code}"
    async with httpx.AsyncClient(base_url=stage.phones_url, timeout=10) as client:
        answer = await client.post(f"/phones/{number}/reply", data={"body": body})
    if answer.is_success:
        await stage.journal.add("replied", resident=home.resident_id, rule=rule, number=number, body=body)
    return False


async def _called(stage: Stage, alert: AlertRow) -> str:
    """The number that has been called about an alert; waits until one has."""
    async with asyncio.timeout(_WAIT_S):
        while True:
            async with stage.database.service() as c:
                sent = await messages.of_alert(c, alert.id)
            called = [
                m.address
                for m in sent
                if (m.purpose, m.channel) == ("alert", "sms") and m.state in ("sent", "delivered")
            ]
            if called:
                return called[-1]
            await asyncio.sleep(0.5)


async def _open(stage: Stage, home: Household, rule: str) -> AlertRow | None:
    async with stage.database.service() as c:
        return await alerts.open_of(c, home.resident_id, rule)
