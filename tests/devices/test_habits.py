"""One table of how types of instruments depart from the standard, and the administrator's own entries before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.drivers.driver import Configured
from devices.habits import VOCABULARY, Habits, checked, table
from devices.readings import Quality
from devices.virtual.twin import Plate
from devices.virtual.twins.cuff import Cuff, Measurement
from tests.devices.home import QUICK, Home, home, until

pytestmark = pytest.mark.anyio

MADE_UP = "C0:FF:EE:00:00:30"
A_AND_D = "C0:FF:EE:00:00:31"
OMRON = "C0:FF:EE:00:00:32"
NO_CUFF = "C0:FF:EE:00:00:33"
SANITAS = "C0:FF:EE:00:00:34"
PLATES = (
    Plate(
        address=MADE_UP,
        kind="blood_pressure",
        name="Hart 9",
        manufacturer="Hart & Co",
        traits=frozenset({"date_time", "keeps"}),
    ),
    Plate(address=A_AND_D, kind="blood_pressure", name="A&D_UA-651B", traits=frozenset({"date_time"})),
    Plate(address=OMRON, kind="blood_pressure", name="BLEsmart_000"),
    Plate(address=NO_CUFF, kind="wearable", name="X2+ Connect_"),
    Plate(address=SANITAS, kind="blood_pressure", name="SBM69", traits=frozenset({"passkey"})),
)


@pytest.fixture
async def h(tmp_path: Path) -> AsyncIterator[Home]:
    async with home(tmp_path, QUICK, PLATES) as found:
        for twin in found.street.twins.values():
            await twin.do_flood()  # found at once
        yield found


def cuff(h: Home, address: str) -> Cuff:
    twin = h.street.twins[address]
    assert isinstance(twin, Cuff)
    return twin


def local() -> datetime:
    return datetime.now(UTC).astimezone().replace(tzinfo=None)


def measured(systolic: float, user: int | None = None) -> Measurement:
    return Measurement(systolic=systolic, diastolic=80, user=user)


def test_every_row_has_its_source_and_only_words_of_the_vocabulary() -> None:
    for row in table():
        assert str(row["source"]).startswith("https://"), row["type"]
        assert set(row) <= {*VOCABULARY, "type", "name", "manufacturer", "model", "source", "note"}


def test_a_type_nobody_knows_has_the_habits_of_the_standard() -> None:
    assert Habits.of("BPM", "Somebody", "One", {}) == Habits()
    assert Habits.of(None, None, None, {}) == Habits()


@pytest.mark.parametrize(
    ("name", "manufacturer", "habit", "value"),
    [
        ("A&D_UA-651BLE_88C32F", None, "clock", "date_time"),
        ("UB-1100BLE_88C32F", None, "pair_first", True),
        (None, "A&D Medical ", "clock", "date_time"),
        ("BLESmart_0000025828FFB20591B5", None, "clock_wrong_min", 10),
        ("SBM69", None, "passkey", True),
        ("BU 572", None, "first_user", 0),
        ("Yuwell BP-YE680B", None, "records", "all"),
        (None, "Beurer GmbH", "pair_first", True),
        ("Microlife BP", None, "standard", False),
    ],
)
def test_a_type_is_known_by_its_name_or_by_its_maker(
    name: str | None, manufacturer: str | None, habit: str, value: object
) -> None:
    assert getattr(Habits.of(name, manufacturer, None, {}), habit) == value


def test_what_the_administrator_says_counts_before_the_table() -> None:
    found = Habits.of("A&D_UA-651BLE_88C32F", None, None, {"clock": "none", "quiet_s": 3})
    assert (found.clock, found.quiet_s, found.pair_first) == ("none", 3.0, True)


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        ({"clok": "none"}, "there is no habit 'clok'; did you mean 'clock'?"),
        ({"colour": "blue"}, "there is no habit 'colour'"),
        (
            {"clock": "sundial"},
            "the habit 'clock' cannot be 'sundial': it is one of 'either', 'current_time', 'date_time', 'none'",
        ),
        ({"pair_first": "yes"}, "the habit 'pair_first' cannot be 'yes': it is true or false"),
        ({"first_user": 2}, "the habit 'first_user' cannot be 2: it is one of 0, 1"),
        ({"quiet_s": -1}, "the habit 'quiet_s' cannot be less than 0"),
    ],
)
def test_what_is_no_habit_is_refused_in_words(configured: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match="habit") as refused:
        checked(configured)
    assert str(refused.value) == words


async def test_a_made_up_type_is_collected_with_habits_from_the_configuration(h: Home) -> None:
    """It tells everything at every visit, counts users from 0 and has another clock: no line of code knows it."""
    habits = {"clock": "date_time", "first_user": 0, "quiet_s": 5, "pair_first": True}
    made_up = cuff(h, MADE_UP)
    made_up.set_clock(local() - timedelta(hours=3))
    await made_up.measure(measured(131, user=0))
    await made_up.measure(measured(132, user=1))
    h.start_gateway(Configured(MADE_UP, "blood_pressure", habits=habits))
    await until(lambda: len(h.values("systolic")) == 2 and not made_up.connections)
    assert [(r.value, r.user) for r in h.readings("systolic")] == [(131, 1), (132, 2)]
    assert abs(made_up.now() - local()) < timedelta(seconds=5)
    h.outbox.done([number for number, _ in h.outbox.batch(100)])  # the service has them
    await made_up.measure(measured(133, user=0))
    await until(lambda: h.values("systolic") and not made_up.connections)
    assert [(r.value, r.user, r.quality) for r in h.readings("systolic")] == [(133, 1, Quality.NONE)]
    assert h.desk.of(MADE_UP).trouble is None


async def test_a_habit_that_there_is_not_is_said_and_nothing_is_collected(h: Home) -> None:
    h.start_gateway(Configured(MADE_UP, "blood_pressure", habits={"clok": "none"}))
    await until(lambda: "did you mean 'clock'" in str(h.desk.of(MADE_UP).trouble))
    assert str(h.desk.of(MADE_UP).trouble).startswith("the configuration of this device cannot be read")


async def test_the_clock_in_the_blood_pressure_service_is_set_by_date_time(h: Home) -> None:
    one = cuff(h, A_AND_D)
    one.set_clock(datetime(2016, 1, 1))  # noqa: DTZ001
    await one.measure(measured(150))
    h.start_gateway(Configured(A_AND_D, "blood_pressure"))
    await until(lambda: h.values("systolic"))
    await until(lambda: abs(one.now() - local()) < timedelta(seconds=5))


async def test_a_clock_that_takes_a_time_only_when_far_off_is_left_alone_when_nearly_right(h: Home) -> None:
    one = cuff(h, OMRON)
    one.set_clock(local() - timedelta(minutes=4))
    await one.measure(measured(150))
    h.start_gateway(Configured(OMRON, "blood_pressure"))
    await until(lambda: h.values("systolic") and not one.connections)
    assert h.desk.of(OMRON).clock_error_s == pytest.approx(-240, abs=5)
    assert local() - one.now() > timedelta(minutes=3)
    one.set_clock(local() - timedelta(minutes=40))
    await one.measure(measured(151))
    await until(lambda: abs(one.now() - local()) < timedelta(seconds=5))


async def test_a_type_that_speaks_only_its_makers_language_is_said_to(h: Home) -> None:
    h.start_gateway(Configured(NO_CUFF, "blood_pressure"))
    h.street.twins[NO_CUFF].spawn(h.street.twins[NO_CUFF].advertise())
    await until(lambda: "no standard service" in str(h.desk.of(NO_CUFF).trouble))


async def test_a_type_that_pairs_only_with_digits_is_said_to(h: Home) -> None:
    await cuff(h, SANITAS).measure(measured(150))
    h.start_gateway(Configured(SANITAS, "blood_pressure"))
    await until(lambda: "only with digits" in str(h.desk.of(SANITAS).trouble))
    assert len(cuff(h, SANITAS).memory) == 1
