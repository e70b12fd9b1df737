"""The rota of the demo: always somebody, never the same one first and second, and alive however often it is started."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from alerts import on_duty
from alerts.policy import Known, faults, parse
from alerts.rota import Rota
from api.demo import duty
from api.demo.holidays import holidays
from api.demo.neighbourhood import ADMINISTRATOR, CARE_WORKERS, STAFF, SUPERVISOR, TIME_ZONE
from store import people, policies, residents, rota, team
from store.postgres import Database

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def street(database: Database) -> tuple[int, dict[str, UUID], dict[int, int]]:
    """The demo's centre and staff, and a resident in building 9."""
    async with database.service() as c:
        centre = await people.add_centre(c, "梧桐里", "Wutongli", None, TIME_ZONE)
        staff = {}
        for human in (*STAFF, ADMINISTRATOR):
            person = await people.add_person(c, centre, human.name_zh, human.name_en, human.phone, human.language)
            await people.add_account(c, person.id, human.username, "!", human.face)
            staff[human.username] = person.id
        wang = await people.add_person(c, centre, "王秀英", "Wang Xiuying", None, "zh_Hans")
        new = residents.NewResident(wang.id, centre, date(1943, 3, 12), "female", "9号楼502", "Building 9, flat 502")
        return centre, staff, {await residents.add(c, new): 9}


async def started(database: Database, street: tuple[int, dict[str, UUID], dict[int, int]], now: datetime = NOW) -> Rota:
    centre, staff, living = street
    async with database.service() as c:
        await duty.write(c, centre, staff, living, now)
        return await on_duty.rota(c, centre, now, now + 14 * DAY)


async def test_somebody_is_first_and_somebody_else_second_at_every_hour(
    database: Database, street: tuple[int, dict[str, UUID], dict[int, int]]
) -> None:
    written = await started(database, street)
    _, staff, _ = street
    workers = {staff[human.username] for human in CARE_WORKERS}
    for hour in range(14 * 24):
        at = NOW + hour * HOUR
        [first] = written.of("care_worker", 1, None, at).turns
        second = written.of("care_worker", 2, None, at)
        assert first.person in workers
        assert first.person not in {turn.person for turn in second.turns}
        assert [turn.person for turn in written.of("supervisor", 1, None, at).turns] == [staff[SUPERVISOR.username]]
        assert written.of("doctor_on_call", 1, None, at).turns


async def test_the_leave_of_one_leaves_a_gap_that_is_seen(
    database: Database, street: tuple[int, dict[str, UUID], dict[int, int]]
) -> None:
    written = await started(database, street)
    [gap] = written.gaps(NOW, NOW + 14 * DAY)
    assert gap.absent == (street[1]["tang.yun"],)
    assert gap.ends - gap.begins == 24 * HOUR
    async with database.service() as c:
        swaps = await rota.swaps(c, street[0], NOW)
    assert [swap.state for swap in swaps] == ["asked", "accepted"]


async def test_a_second_start_writes_nothing_twice_and_a_late_one_goes_on(
    database: Database, street: tuple[int, dict[str, UUID], dict[int, int]]
) -> None:
    first = await started(database, street)
    assert await started(database, street) == first
    later = await started(database, street, NOW + 40 * DAY)
    assert len(later.rosters) == len(first.rosters)
    assert later.gaps(later.since, later.until)


async def test_the_building_and_the_courtyard_have_people_of_their_own(
    database: Database, street: tuple[int, dict[str, UUID], dict[int, int]]
) -> None:
    written = await started(database, street)
    async with database.service() as c:
        [home] = await team.homes(c, street[0])
        helpers = {m.id: m.name_en for m in await team.members(c, street[0]) if not m.face}
    monday_noon = datetime(2026, 11, 30, 4, tzinfo=UTC)
    named = {
        role: [helpers[turn.person] for turn in written.of(role, 1, home.area_id, monday_noon).turns]
        for role in ("building_leader", "volunteer")
    }
    assert named == {"building_leader": ["Ge Lanying"], "volunteer": ["Ma Xiulan"]}
    [area, courtyard] = written.areas_of(home.area_id)
    assert area == home.area_id
    assert courtyard != area


async def test_its_policy_calls_the_neighbours_too_and_can_be_used(
    database: Database, street: tuple[int, dict[str, UUID], dict[int, int]]
) -> None:
    written = await started(database, street)
    async with database.service() as c:
        [use] = await policies.uses(c, street[0])
        line = await policies.fallback(c, street[0])
    known = Known({(roster.role, roster.line) for roster in written.rosters}, (), has_fallback=line is not None)
    policy = parse(use.content)
    assert use.priority == "high"
    assert faults(policy, "high", known) == ()
    assert {target.role for target in policy.steps[1].targets} == {"care_worker", "building_leader", "volunteer"}


def test_a_year_has_thirteen_holidays() -> None:
    assert [len(holidays(year)) for year in (2026, 2027)] == [13, 13]
    assert len(holidays(2028)) == 12  # Mid-Autumn falls on the third day of National Day
    assert holidays(2026)[date(2026, 2, 16)] == ("除夕", "Chinese New Year's Eve")
