"""Watch and dispatcher are killed again and again while readings pour in: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from alerts import protocol
from alerts.worker import Watch, utc_now
from store import people, readings, residents
from store.migrate import migrate
from store.postgres import Database, value
from tests.alerts.door import open_door
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN, free_port, telephone_line, until
from tests.conftest import with_database
from tests.household import Household, batch, furnish

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

RESIDENTS = BATCHES = 100
LIVES = 5

_CHILD = """
import asyncio, sys
from alerts import protocol
from alerts.channels.sms import SmsChannel
from alerts.dispatch import Dispatcher
from alerts.worker import Watch
from store.postgres import Database

async def main():
    dsn, account, token, number, service_url, base_url = sys.argv[1:]
    rules = protocol.load()
    async with Database(dsn, max_size=4) as database, asyncio.TaskGroup() as group:
        channel = SmsChannel(account, token, number, service_url, base_url)
        print("at work", flush=True)
        group.create_task(Watch(database, rules).run())
        group.create_task(Dispatcher(database, {"sms": channel}).run())

asyncio.run(main())
"""

Item = tuple[int, int, str, float, datetime]


async def enrol(database: Database, now: datetime) -> tuple[Household, list[int]]:
    """The household and more residents, whose numbers are the same in every fresh database."""
    async with database.service() as c:
        home = await furnish(c, now)
        numbers = []
        for n in range(RESIDENTS):
            person = await people.add_person(c, home.centre, f"住户{n}", f"Resident {n}", None, "zh_Hans")
            new = residents.NewResident(person.id, home.centre, date(1945, 1, 1), "female", f"{n}号", f"No {n}")
            numbers.append(await residents.add(c, new))
    return home, numbers


def readings_to_come(home: Household, numbers: list[int], now: datetime) -> list[list[Item]]:
    """The same readings for every run. In every batch something is raised, raised again or cleared."""
    chance = random.Random(2026)
    batches: list[list[Item]] = []
    for n in range(BATCHES):
        at = now - timedelta(minutes=20) + timedelta(seconds=6 * n)
        items: list[Item] = [(numbers[n % RESIDENTS], home.button, "help_call", 1.0, at)]
        items.append((numbers[n * 7 % 40], home.wearable, "spo2", 82.0 if n % 3 else 97.0, at))
        for resident in chance.sample(numbers[:40], 4):
            severe = chance.random() < 0.4
            items.append((resident, home.cuff, "systolic", 190.0 if severe else 142.0, at))
            items.append((resident, home.cuff, "diastolic", 115.0 if severe else 84.0, at))
        batches.append(items)
    return batches


async def pour(database: Database, home: Household, batches: list[list[Item]], every_s: float = 0) -> None:
    for items in batches:
        async with database.service() as c:
            await readings.insert(c, batch(home, *items, received_at=utc_now()))
        await asyncio.sleep(every_s)


async def happened(database: Database) -> Counter[Any]:
    """Everything the watch decided, counted, without numbers and times of the run itself."""
    async with database.service() as c:
        cursor = await c.execute(
            "SELECT a.resident_id, a.rule, a.happened_at, a.evidence::text, e.kind, p.name_en FROM alert a "
            "JOIN alert_event e ON e.alert_id = a.id LEFT JOIN person p ON p.id = e.person_id "
            "WHERE e.kind IN ('raised', 'raised_again', 'called', 'cleared')"
        )
        return Counter(await cursor.fetchall())


async def caught_up(database: Database) -> bool:
    async with database.service() as c:
        return bool(
            await value(
                c,
                "SELECT (SELECT (tx, seq) FROM watch_partition ORDER BY tx, seq LIMIT 1) = "
                "(SELECT (tx, seq) FROM feed ORDER BY tx DESC, seq DESC LIMIT 1)",
            )
        )


async def all_sent(database: Database) -> bool:
    async with database.service() as c:
        return not await value(c, "SELECT count(*) FROM message WHERE state NOT IN ('sent', 'delivered')")


async def undisturbed(server_dsn: str, template: str, now: datetime) -> Counter[Any]:
    """The same readings under a watch that nobody disturbs."""
    with psycopg.connect(server_dsn, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{template}_calm"'.encode())
        try:
            dsn = with_database(server_dsn, f"{template}_calm")
            migrate(dsn)
            async with Database(dsn, max_size=4) as database:
                home, numbers = await enrol(database, now)
                watching = asyncio.create_task(Watch(database, protocol.load()).run())
                await pour(database, home, readings_to_come(home, numbers, now))
                await until(lambda: caught_up(database), within_s=30, every_s=0.1)
                watching.cancel()
                return await happened(database)
        finally:
            owner.execute(f'DROP DATABASE "{template}_calm" WITH (FORCE)'.encode())


async def begin(command: list[str]) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"at work\n"
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.communicate()


async def test_killed_at_any_moment_it_neither_loses_nor_doubles_an_alert_or_a_message(
    database: Database, server_dsn: str, template: str
) -> None:
    now, port = utc_now(), free_port()
    home, numbers = await enrol(database, now)
    async with (
        Database(database.dsn, max_size=4) as behind_the_door,
        telephone_line(open_door(behind_the_door, port), port, answer_s=0.1) as line,
    ):
        await line.always("lost")  # no callback makes good what a killed sender did not hear: it has to be looked up
        command = [sys.executable, "-c", _CHILD, database.dsn, ACCOUNT, TOKEN, NUMBER, line.service_url, line.url]
        to_come, chance = readings_to_come(home, numbers, now), random.Random(7)
        share = BATCHES // LIVES
        for life in range(LIVES):
            process = await begin(command)
            part = to_come[life * share : (life + 1) * share]
            pouring = asyncio.create_task(pour(database, home, part, 0.02))
            if life % 2:
                await asyncio.sleep(chance.uniform(0.2, 0.8))
            else:  # with a request at the network that has no answer yet
                await until(lambda: len(line.recorder.asked) > len(line.recorder.exchanges), within_s=30)
            await kill(process)
            await pouring
        process = await begin(command)
        await until(lambda: caught_up(database), within_s=30, every_s=0.1)
        await until(lambda: all_sent(database), within_s=60, every_s=0.1)
        await kill(process)
        disturbed = await happened(database)
        assert disturbed == await undisturbed(server_dsn, template, now)
        assert len(disturbed) > 150
        async with database.service() as c:
            cursor = await c.execute("SELECT address, body FROM message")
            due = Counter(await cursor.fetchall())
        on_phones = Counter((sms.to, sms.body) for sms in line.telephone.network.messages)
        assert on_phones == due
        assert "GET" in line.recorder.asked  # some were under way when the sender was killed, and were looked up
