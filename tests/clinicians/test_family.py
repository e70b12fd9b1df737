"""The family's one sentence says what is known and how old it is, and never more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicians.family import called, say
from clinicians.words import Words
from store import gateways, portal, readings
from store.postgres import Database
from store.readings import Latest
from store.residents import Relation
from tests.clinicians.test_worklist import ALERT, EN, NOW, TAKEN, TARGET, TASK, WANG, ZH
from tests.household import batch, furnish


def measured(ago: timedelta, systolic: float = 128.0, diastolic: float = 78.0) -> dict[str, Latest]:
    at = NOW - ago
    return {
        "systolic": Latest(systolic, at, at, 0, 1),
        "diastolic": Latest(diastolic, at, at, 0, 1),
    }


FRESH = measured(timedelta(hours=3))


def test_well_is_said_with_what_it_rests_on() -> None:
    assert say("Mum", [], FRESH, TARGET, EN) == (
        "well",
        "Mum is well, as far as we can see.",
        "Blood pressure 128/78, measured today 15:00. No alert is open.",
    )
    assert say("妈妈", [], FRESH, TARGET, ZH)[1] == "目前看来，妈妈一切都好。"


def test_a_low_battery_does_not_worry_the_family() -> None:
    assert say("Mum", [TASK], FRESH, TARGET, EN)[0] == "well"


def test_an_alert_comes_before_everything() -> None:
    mood, sentence, _ = say("Mum", [ALERT], FRESH, TARGET, EN)
    assert (mood, sentence) == ("alarm", "Mum may need help. We are calling a care worker.")


def test_who_has_taken_it_is_named_and_not_said_to_be_there() -> None:
    assert say("Mum", [TAKEN], FRESH, TARGET, EN)[1] == "Li Na knows about Mum and is seeing to it."


def test_an_alert_put_aside_calls_nobody_and_says_so() -> None:
    mood, sentence, _ = say("Mum", [replace(ALERT, standing="shelved")], FRESH, TARGET, EN)
    assert (mood, sentence) == ("watch", "The health centre knows about Mum and will look again.")


def test_silence_is_said_and_not_taken_for_well_being() -> None:
    mood, sentence, _ = say("Mum", [], measured(timedelta(days=4)), TARGET, EN)
    assert mood == "quiet"
    assert sentence == "No readings from Mum since 20 Nov 18:00."


def test_nothing_known_is_nothing_claimed() -> None:
    assert say("Mum", [], {}, TARGET, EN)[0] == "quiet"


@pytest.mark.parametrize(("systolic", "word"), [(142.0, "above"), (101.0, "below")])
def test_a_value_off_target_is_told_calmly(systolic: float, word: str) -> None:
    mood, sentence, _ = say("Mum", [], measured(timedelta(hours=3), systolic), TARGET, EN)
    assert mood == "watch"
    assert f"the blood pressure is {word} target" in sentence


def test_a_device_that_reports_its_battery_is_no_sign_of_life() -> None:
    latest = {"battery": Latest(80.0, NOW, NOW, 0, 1), **measured(timedelta(days=4))}
    assert say("Mum", [], latest, TARGET, EN)[0] == "quiet"


@given(st.timedeltas(timedelta(0), timedelta(days=30)), st.lists(st.sampled_from([ALERT, TAKEN, TASK]), max_size=3))
def test_well_is_never_said_over_an_open_alert_or_an_old_sign(age: timedelta, cases: list) -> None:  # type: ignore[type-arg]
    if say("Mum", cases, measured(age), TARGET, EN)[0] == "well":
        assert age <= timedelta(hours=36)
        assert all(case.is_task for case in cases)


def test_she_is_called_as_her_family_calls_her() -> None:
    relations = [Relation(WANG.id, "family", "妈妈", "Mum")]
    assert called(WANG, relations, ZH) == "妈妈"
    assert called(WANG, relations, EN) == "Mum"
    assert called(replace(WANG, id=2), relations, EN) == "Wang Xiuying"


@pytest.mark.anyio
async def test_who_moved_about_but_measured_nothing_is_not_called_silent(database: Database) -> None:
    now = datetime.now(UTC)
    async with database.service() as c:
        home = await furnish(c, now)
        sensor = await gateways.add_device(c, "C0:00:00:00:00:09", home.wang, "motion_sensor", home.gateway)
        seen = [(2, 1.0), (1, 0.0)]
        items = [(home.wang, sensor, "movement", number, now - timedelta(hours=ago)) for ago, number in seen]
        await readings.insert(c, batch(home, *items, received_at=now))
    async with database.reader(home.daughter.id) as c:
        moved = await portal.last_movement(c, now - timedelta(hours=36))
        assert await portal.last_movement(c, now - timedelta(hours=1)) == {}
    assert moved == {home.wang: now - timedelta(hours=2)}
    assert say("Mum", [], {}, TARGET, Words.of("en"), moved[home.wang])[0] == "well"
