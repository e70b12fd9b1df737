"""A resident is judged by her own value, else by that of the first of her groups, else by the protocol's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import perf_counter

import pytest

from alerts import judging
from alerts.judging import Target
from alerts.profiles import Profile
from alerts.protocol import Protocol, parse
from alerts.rule import SYSTOLIC_HIGH
from store import parameters, people
from store.postgres import Connection, Database
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio

TEXT = """
protocol = "test"
version = 2026-11-29

[[group]]
code = "hypercapnic"
title = { zh_Hans = "二氧化碳潴留", en = "carbon dioxide retention" }
[[group]]
code = "copd"
title = { zh_Hans = "慢阻肺", en = "COPD" }

[[parameter]]
name = "spo2.low"
metric = "spo2"
unit = "%"
value = 91
between = [80, 95]
title = { zh_Hans = "血氧警戒值", en = "Oxygen alarm level" }
source = "NEWS2"
[[parameter.group]]
group = "copd"
value = 87
source = "test"
[[parameter.group]]
group = "hypercapnic"
value = 83
source = "NEWS2 scale 2"

[[parameter]]
name = "bp.target.systolic"
metric = "systolic"
unit = "mmHg"
value = 135
between = [110, 170]
title = { zh_Hans = "收缩压目标", en = "Systolic target" }
source = "ESH 2023"

[[rule]]
id = "spo2.low"
version = 1
priority = "medium"
kind = "physiological"
title = { zh_Hans = "血氧低", en = "Low oxygen" }
[[rule.when]]
metric = "spo2"
unit = "%"
at_most = "spo2.low"
clear_by = 2
source = "test"
[rule.say]
staff = { zh_Hans = "血氧{spo2}%", en = "Oxygen {spo2} %" }
family = { zh_Hans = "血氧低", en = "Oxygen low" }
resident = { zh_Hans = "血氧低", en = "Oxygen low" }
"""
PROTOCOL = parse(TEXT, "test.toml")


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def of_wang(c: Connection, home: Household, protocol: Protocol = PROTOCOL) -> Profile:
    return (await judging.profiles(c, protocol, NOW + timedelta(minutes=1)))[home.wang]


async def test_whoever_nothing_is_known_of_is_judged_as_the_protocol_says_by_her_centre_s_clock(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        assert await of_wang(c, home) == Profile("Asia/Shanghai")


async def test_a_time_zone_that_the_server_does_not_know_keeps_nobody_unwatched(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await c.execute("UPDATE centre SET time_zone = 'Asia/Chungking_2'")
        assert await of_wang(c, home) == Profile("UTC")


async def test_her_own_value_goes_before_her_centre_s_and_this_before_the_protocol_s(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        by = home.doctor.id
        await parameters.change_conditions(c, home.wang, ["stroke", "copd"], [], by=by)
        groups = frozenset({"copd"})
        assert await of_wang(c, home) == Profile("Asia/Shanghai", groups, (("spo2.low", 87.0),))
        await parameters.set_for_group(c, home.centre, "copd", "spo2.low", 86.0, NOW, by=by, why="")
        assert (await of_wang(c, home)).values == (("spo2.low", 86.0),)
        await parameters.set_own(c, home.wang, "spo2.low", 85.0, NOW, by=by, why="")
        assert (await of_wang(c, home)).values == (("spo2.low", 85.0),)
        await parameters.set_own(c, home.wang, "spo2.low", 84.0, NOW, by=by, why="", until=NOW + timedelta(seconds=9))
        assert (await of_wang(c, home)).values == (("spo2.low", 86.0),), "the newer has ended, and with it the older"


async def test_of_two_groups_the_first_in_the_protocol_counts(database: Database, home: Household) -> None:
    async with database.service() as c:
        await parameters.change_conditions(c, home.wang, ["copd", "hypercapnic"], [], by=home.doctor.id)
        assert (await of_wang(c, home)).values == (("spo2.low", 83.0),)


FOLLOWING = parse(
    TEXT.replace(
        "[[parameter]]",
        """
[[group]]
code = "both"
all_of = ["copd", "hypercapnic"]
title = { zh_Hans = "都有", en = "both" }
[[group]]
code = "old"
from_age = 80
title = { zh_Hans = "80岁及以上", en = "80 and older" }
[[parameter]]""",
        1,
    ),
    "test.toml",
)


async def test_who_has_all_of_several_conditions_is_in_their_group_without_anybody_noting_it(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await c.execute("UPDATE resident SET born = '1950-01-01'")
        for noted, groups in (
            (["copd"], {"copd"}),
            (["copd", "hypercapnic"], {"copd", "hypercapnic", "both"}),
            (["both", "old"], set()),
        ):
            await parameters.change_conditions(c, home.wang, noted, [], by=home.doctor.id)
            assert (await of_wang(c, home, FOLLOWING)).groups == groups
            grounds = await judging.grounds(c, FOLLOWING, home.wang, NOW)
            assert grounds is not None
            assert grounds.profile.groups == groups
            await parameters.change_conditions(c, home.wang, [], noted, by=home.doctor.id)


@pytest.mark.parametrize(
    ("born", "birthday"),
    [
        (date(1946, 11, 25), datetime(2026, 11, 24, 16, tzinfo=UTC)),
        (date(1948, 2, 29), datetime(2028, 2, 28, 16, tzinfo=UTC)),
        (date(1947, 3, 1), datetime(2027, 2, 28, 16, tzinfo=UTC)),
        (date(1947, 2, 28), datetime(2027, 2, 27, 16, tzinfo=UTC)),
    ],
)
async def test_she_is_in_the_group_of_her_age_from_the_midnight_of_her_home_on(
    database: Database, home: Household, born: date, birthday: datetime
) -> None:
    async with database.service() as c:
        await c.execute("UPDATE resident SET born = %s", [born])
        assert await judging.next_change(c, FOLLOWING, NOW) == birthday
        assert await judging.next_change(c, FOLLOWING, birthday) is None
        assert await judging.next_change(c, PROTOCOL, NOW) is None
        for at, groups in ((birthday - timedelta(seconds=1), frozenset()), (birthday, {"old"})):
            assert (await judging.profile_of(c, FOLLOWING, home.wang, at)).groups == groups


async def test_born_on_the_29th_of_february_she_is_older_on_the_first_of_march(
    database: Database, home: Household
) -> None:
    at_81 = replace(FOLLOWING, groups=(replace(FOLLOWING.groups[-1], from_age=81),))
    async with database.service() as c:
        await c.execute("UPDATE resident SET born = '1948-02-29'")
        first_of_march = datetime(2029, 2, 28, 16, tzinfo=UTC)
        assert await judging.next_change(c, at_81, NOW) == first_of_march
        assert (await judging.profile_of(c, at_81, home.wang, first_of_march)).groups == {"old"}
        before = await judging.profile_of(c, at_81, home.wang, first_of_march - timedelta(seconds=1))
        assert before.groups == frozenset()


async def test_a_value_that_ends_before_the_next_birthday_comes_first(database: Database, home: Household) -> None:
    async with database.service() as c:
        await c.execute("UPDATE resident SET born = '1946-12-24'")
        until = NOW + timedelta(days=3)
        await parameters.set_own(c, home.wang, "spo2.low", 85.0, NOW, by=None, why="", until=until)
        assert await judging.next_change(c, FOLLOWING, NOW) == until


async def test_of_a_group_that_follows_its_parts_count_too(database: Database, home: Household) -> None:
    both, old = (group for group in FOLLOWING.groups if group.follows)
    async with database.service() as c:
        (centre,) = await people.centres(c)
        found = await judging.grounds_of_group(c, FOLLOWING, centre, both, NOW)
        assert found.profile.groups == {"both", "copd", "hypercapnic"}
        assert (await judging.grounds_of_group(c, FOLLOWING, centre, old, NOW)).profile.groups == {"old"}


async def test_what_another_protocol_allowed_is_passed_over(database: Database, home: Household) -> None:
    async with database.service() as c:
        await parameters.set_own(c, home.wang, "spo2.low", 60.0, NOW, by=home.doctor.id, why="")
        await parameters.set_own(c, home.wang, "spo2.gone", 60.0, NOW, by=home.doctor.id, why="")
        assert await of_wang(c, home) == Profile("Asia/Shanghai")


async def test_each_centre_has_its_own_clock_and_values_and_who_has_left_is_not_judged(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        berlin = await people.add_centre(c, "柏林", "Berlin", None, "Europe/Berlin")
        await parameters.set_for_group(c, berlin, "copd", "spo2.low", 90.0, NOW, by=None, why="")
        for resident in (home.wang, home.zhao):
            await parameters.change_conditions(c, resident, ["copd"], [], by=home.doctor.id)
        await c.execute("UPDATE resident SET centre_id = %s WHERE id = %s", [berlin, home.zhao])
        found = await judging.profiles(c, PROTOCOL)
        assert {found[home.wang].zone, found[home.zhao].zone} == {"Asia/Shanghai", "Europe/Berlin"}
        assert found[home.zhao].values == (("spo2.low", 90.0),)
        await c.execute("UPDATE resident SET left_at = now() WHERE id = %s", [home.zhao])
        assert set(await judging.profiles(c, PROTOCOL)) == {home.wang}


async def test_the_target_is_the_parameter_that_the_rules_go_by(database: Database, home: Household) -> None:
    async with database.service() as c:
        assert await judging.target_of(c, PROTOCOL, home.wang, NOW) == Target(100, 135, 60, 85)
        await parameters.set_own(c, home.wang, SYSTOLIC_HIGH, 150.0, NOW, by=home.doctor.id, why="frail")
        assert (await judging.targets(c, PROTOCOL, NOW))[home.wang] == Target(100, 150, 60, 85)
    for anybody in (home.doctor.id, home.daughter.id, home.wang_person):
        async with database.reader(anybody) as c:
            assert await judging.target_of(c, PROTOCOL, home.wang, NOW) == Target(100, 150, 60, 85)


async def test_ten_thousand_residents_take_no_longer_than_a_blink(database: Database) -> None:
    async with database.service() as c:
        centre = await people.add_centre(c, "一", "One", None, "Asia/Shanghai")
        await c.execute(
            "INSERT INTO person (centre_id, name_zh, name_en) SELECT %s, n::text, n::text FROM generate_series(1, 10000) n",
            [centre],
        )
        await c.execute(
            "INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en, conditions) "
            "SELECT id, centre_id, %s, 'other', '', '', CASE WHEN name_en::int %% 5 = 0 THEN '{copd}'::text[] ELSE '{}' END FROM person",
            [date(1940, 1, 1)],
        )
        await c.execute(
            "INSERT INTO resident_value (resident_id, name, value, set_at, why) "
            "SELECT id, 'bp.target.systolic', 140, now(), '' FROM resident WHERE id % 3 = 0"
        )
        began = perf_counter()
        found = await judging.profiles(c, PROTOCOL)
        spent = perf_counter() - began
    assert len(found) == 10_000
    assert sum(bool(profile.values) for profile in found.values()) > 3_333
    assert spent < 2.0
