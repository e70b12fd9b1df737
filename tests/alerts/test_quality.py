"""How good the alarms are: counted as it is said, over the residents it is said of, and nobody else's."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from alerts import quality
from alerts.quality import Quality
from store import alerts, messages
from store.messages import NewMessage
from store.postgres import Connection, Database
from tests.household import NOW, Household, furnish
from tests.opened import opened

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        home = await furnish(c)
        await c.execute("UPDATE resident SET enrolled_at = %s", [NOW - timedelta(days=100)])
        return home


async def told(
    c: Connection,
    home: Household,
    *,
    ago: timedelta,
    rule: str = "bp.severe",
    priority: str = "high",
    kind: str = "physiological",
    resident: int | None = None,
    again: tuple[timedelta, ...] = (),
    taken: timedelta | None = None,
    closed: timedelta | None = None,
    outcome: str = "helped",
) -> int:
    """An alert so long ago, and what became of it, each so long after it was raised. Whoever takes it was called at once."""
    at, who = NOW - ago, resident or home.wang
    number = await opened(
        c,
        resident_id=who,
        rule=rule,
        protocol="p",
        priority=priority,
        kind=kind,
        happened_at=at,
        raised_at=at,
        evidence={},
    )
    assert number is not None
    await alerts.add_event(c, number, who, "raised", at=at)
    for later in again:
        await alerts.add_event(c, number, who, "raised_again", at=at + later)
    if taken:
        await call(c, home, number, who, at)
        await alerts.add_event(c, number, who, "acknowledged", at=at + taken, person_id=home.li_na.id)
    if closed:
        end = {"state": "resolved", "resolved_at": at + closed, "resolved_by": home.li_na.id, "outcome": outcome}
        await alerts.update(c, number, end)
    return number


async def call(c: Connection, home: Household, alert: int, resident: int, at: datetime) -> None:
    await messages.add(
        c,
        [
            NewMessage(
                purpose="alert",
                priority="high",
                person_id=home.li_na.id,
                channel="sms",
                address="+8613900000002",
                language="en",
                body="",
                due_at=at,
                expires_at=at + MINUTE,
                made_at=at,
                alert_id=alert,
                resident_id=resident,
                step=1,
            )
        ],
    )
    await c.execute("UPDATE message SET state = 'delivered' WHERE alert_id = %s", [alert])


async def counted(database: Database, home: Household, days: int = 7) -> Quality:
    async with database.service() as c:
        return await quality.report(c, NOW, days, centre=home.centre)


async def test_without_an_alert_everything_is_nothing(database: Database, home: Household) -> None:
    found = await counted(database, home)
    assert (found.whole.raised, found.per_day, found.messages_per_week, found.mix("high")) == (0, 0, 0, None)
    assert found.by_rule == ()


async def test_what_came_of_an_alert_is_counted_by_what_whoever_closed_it_said(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        for n, outcome in enumerate(
            ("helped: gave water", "hospital", "well", "false_alarm: sofa", "in her own words")
        ):
            await told(c, home, ago=timedelta(hours=n + 1), closed=10 * MINUTE, outcome=outcome)
        await told(c, home, ago=timedelta(hours=9), rule="fall")
    whole = (await counted(database, home)).whole
    assert (whole.raised, whole.closed, whole.worth_it, whole.all_well, whole.false_alarm) == (6, 5, 2, 1, 1)


async def test_the_time_is_from_the_first_call_to_the_first_taking(database: Database, home: Household) -> None:
    async with database.service() as c:
        for n in range(1, 10):
            await told(c, home, ago=n * timedelta(hours=1), taken=n * MINUTE, closed=40 * MINUTE)
        await told(c, home, ago=timedelta(hours=20), rule="device.battery", priority="low", kind="technical")
    found = await counted(database, home)
    assert (found.whole.raised, found.whole.called, found.whole.taken) == (10, 9, 9)
    assert (found.whole.median_s, found.whole.ninety_s) == (300.0, pytest.approx(492.0))
    assert found.by_priority["low"].median_s is None


async def test_three_times_within_half_an_hour_chatters_and_more_slowly_does_not(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        fast = await told(c, home, ago=timedelta(hours=5), again=(9 * MINUTE, 29 * MINUTE))
        slow = await told(c, home, ago=timedelta(hours=5), rule="fall", again=(20 * MINUTE, 40 * MINUTE, 60 * MINUTE))
        of_each = await quality.episodes(c, [fast, slow])
    assert (of_each[fast].times, of_each[fast].chatters, of_each[fast].since) == (3, True, NOW - timedelta(hours=5))
    assert (of_each[slow].times, of_each[slow].chatters) == (4, False)
    by_rule = {line.rule: line.chattering for line in (await counted(database, home)).by_rule}
    assert by_rule == {"bp.severe": 1, "fall": 0}


async def test_what_stood_for_more_than_a_day_is_stale_also_when_it_is_closed_by_now(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await told(c, home, ago=timedelta(days=3), closed=timedelta(hours=25))
        await told(c, home, ago=timedelta(days=2), rule="fall")
        await told(c, home, ago=timedelta(hours=23), rule="help_call")
    assert (await counted(database, home)).whole.stale == 2


async def test_messages_are_counted_by_the_weeks_residents_were_watched_over(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        for n in range(1, 4):
            await told(c, home, ago=timedelta(days=n), taken=MINUTE, closed=2 * MINUTE)
        await c.execute("UPDATE resident SET left_at = %s WHERE id = %s", [NOW - timedelta(days=3.5), home.zhao])
    found = await counted(database, home)
    assert found.exposure.messages == 3
    assert found.messages_per_week == pytest.approx(2.0)  # in one and a half resident-weeks


async def test_the_mix_and_whatever_is_older_is_left_out(database: Database, home: Household) -> None:
    async with database.service() as c:
        await told(c, home, ago=timedelta(hours=1), rule="fall")
        for n in range(1, 4):
            await told(
                c, home, ago=timedelta(hours=n), rule="device.battery", priority="low", kind="technical", closed=MINUTE
            )
        await told(c, home, ago=timedelta(days=8), closed=MINUTE)
    found = await counted(database, home)
    assert (found.mix("high"), found.mix("medium"), found.mix("low")) == (0.25, 0.0, 0.75)
    assert [one.raised for one in found.often] == [4]
    assert (await counted(database, home, days=30)).whole.raised == 5


async def test_a_doctor_counts_those_in_her_care_alone(database: Database, home: Household) -> None:
    async with database.service() as c:
        await told(c, home, ago=timedelta(hours=1), taken=MINUTE)
        await told(c, home, ago=timedelta(hours=1), resident=home.zhao, taken=MINUTE)
        await c.execute("DELETE FROM relation WHERE person_id = %s AND resident_id = %s", [home.doctor.id, home.zhao])
    async with database.reader(home.doctor.id) as c:
        found = await quality.report(c, NOW, 7)
    assert (found.whole.raised, found.whole.taken, found.exposure.residents, found.exposure.messages) == (1, 1, 1, 1)
    for nobody in (home.daughter.id, home.administrator.id, None):
        async with database.reader(nobody) as c:
            found = await quality.report(c, NOW, 7)
            assert (found.whole.raised, found.exposure.residents, found.often) == (0, 0, ())


async def test_the_service_counts_everybody_and_of_one_centre_its_own(database: Database, home: Household) -> None:
    async with database.service() as c:
        await told(c, home, ago=timedelta(hours=1))
        await told(c, home, ago=timedelta(hours=1), resident=home.zhao)
        everywhere = await quality.report(c, NOW, 7)
        elsewhere = await quality.report(c, NOW, 7, centre=home.centre + 1)
    assert (everywhere.whole.raised, everywhere.exposure.residents) == (2, 2)
    assert (elsewhere.whole.raised, elsewhere.exposure.residents) == (0, 0)
