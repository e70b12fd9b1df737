"""A fall's story in the service: asked, answered or confirmed, worse with time, and each time one alert and one ladder."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from alerts import actions
from alerts.worker import Watch
from store import alerts, readings
from store.alerts import AlertRow
from store.postgres import Database, value
from tests.alerts.test_worker import RULES, Home
from tests.household import NOW, batch, furnish

pytestmark = pytest.mark.anyio


class Fallen(Home):
    """Mrs Wang's home, with a gateway that tells what it thinks of a fall."""

    async def tell(self, metric: str, value: float = 0.9, **detail: float) -> None:
        told = batch(
            self.people,
            (self.people.wang, self.people.wearable, metric, value, self.clock.now),
            received_at=self.clock.now,
        )
        object.__setattr__(told, "details", {0: detail} if detail else {})
        async with self.database.service() as c:
            await readings.insert(c, told)
        await self.judged()

    async def wait(self, **length: float) -> None:
        self.clock.go_on(**length)
        await self.judged()

    async def the_alert(self) -> AlertRow:
        [row] = await self.open_alerts()
        return row

    async def last_message(self, alert_id: int) -> str:
        return (await self.called(alert_id))[-1].body

    async def is_asked(self) -> bool:
        async with self.database.service() as c:
            return bool(await alerts.open_prompts(c, self.people.wang, self.clock.now))


@pytest.fixture
async def home(database: Database) -> Fallen:
    async with database.service() as c:
        return Fallen(database, await furnish(c))


async def test_a_fall_she_answers_in_time_is_a_task_without_a_message(home: Fallen) -> None:
    await home.tell("fall", 0.4, impact_g=3.4)
    assert await home.is_asked()
    home.clock.go_on(seconds=20)
    await home.tell("said_well", 1.0)
    assert not await home.is_asked()
    task = await home.the_alert()
    assert (task.rule, task.priority, task.step, task.climb_at) == ("fall.answered", "low", 0, None)
    assert (task.happened_at, task.evidence["impact_g"]) == (NOW, 3.4)
    await home.wait(minutes=30)
    assert await home.called(task.id) == []


async def test_saying_that_all_is_well_without_a_fall_is_nothing(home: Fallen) -> None:
    await home.tell("said_well", 1.0)
    assert await home.open_alerts() == []


async def test_who_has_left_is_not_asked_after(home: Fallen) -> None:
    await home.tell("fall")
    async with home.database.service() as c:
        await c.execute("UPDATE resident SET left_at = %s WHERE id = %s", [home.clock.now, home.people.wang])
    home.clock.go_on(seconds=5)
    await home.tell("said_well", 1.0)
    assert await home.open_alerts() == []


async def test_a_second_fall_answered_beside_an_open_alert_is_no_second_card(home: Fallen) -> None:
    await home.tell("fall")
    await home.wait(seconds=31)
    home.clock.go_on(minutes=3)
    await home.tell("fall")
    home.clock.go_on(seconds=10)
    await home.tell("fall_recovered", 1.0)
    assert (await home.the_alert()).rule == "fall"


async def test_a_question_outlives_a_protocol_that_judges_falls_otherwise(home: Fallen) -> None:
    before = tuple(replace(rule, confirmed_by=None) if rule.id == "fall" else rule for rule in RULES.rules)
    home.watch = Watch(home.database, replace(RULES, rules=before, digest="another"), clock=home.clock)
    await home.tell("fall", 0.6, impact_g=3.4)
    await home.start_anew()
    await home.wait(seconds=10)
    assert await home.is_asked()
    await home.wait(seconds=21)
    row = await home.the_alert()
    assert (row.rule, row.state, row.happened_at, row.evidence["impact_g"]) == ("fall", "notifying", NOW, 3.4)


async def test_a_question_can_be_answered_under_a_protocol_that_judges_falls_otherwise(home: Fallen) -> None:
    before = tuple(replace(rule, confirmed_by=None) if rule.id == "fall" else rule for rule in RULES.rules)
    home.watch = Watch(home.database, replace(RULES, rules=before, digest="another"), clock=home.clock)
    await home.tell("fall")
    await home.start_anew()
    home.clock.go_on(seconds=20)
    await home.tell("said_well", 1.0)
    assert (await home.the_alert()).rule == "fall.answered"


async def test_a_confirmed_fall_calls_without_waiting_for_the_rest_of_the_half_minute(home: Fallen) -> None:
    await home.tell("fall", 0.6, impact_g=3.4)
    home.clock.go_on(seconds=25)
    await home.tell("fall_confirmed", 0.8, waited_s=30.0)
    row = await home.the_alert()
    assert (row.rule, row.state, row.happened_at) == ("fall", "notifying", NOW)
    assert row.evidence == {"impact_g": 3.4, "probability": 0.6, "confirmed": 0.8, "count": 1.0}
    assert not await home.is_asked()
    await home.wait(seconds=30)
    assert len(await home.called(row.id)) == 1


async def test_a_confirmation_of_what_was_called_already_is_written_down_and_calls_nobody(home: Fallen) -> None:
    await home.tell("fall")
    await home.wait(seconds=31)
    await home.tell("fall_confirmed", 0.8)
    row = await home.the_alert()
    assert row.evidence["confirmed"] == 0.8
    assert await home.trail(row.id) == ["raised", "called", "confirmed"]


async def test_a_confirmation_whose_fall_was_lost_calls_with_what_explains_it(home: Fallen) -> None:
    await home.tell("fall_confirmed", 0.8, waited_s=30.0)
    row = await home.the_alert()
    assert (row.rule, row.state, row.evidence["waited_s"]) == ("fall", "notifying", 30.0)


async def fallen_and_taken(home: Fallen) -> AlertRow:
    await home.tell("fall", impact_g=3.4)
    await home.wait(seconds=31)
    row = await home.the_alert()
    async with home.database.service() as c:
        await actions.acknowledge(c, row.id, home.people.li_na.id, home.clock.now, "sms")
    return row


async def test_a_long_lie_calls_anew_though_somebody_has_taken_the_fall(home: Fallen) -> None:
    taken = await fallen_and_taken(home)
    home.clock.go_on(minutes=10)
    await home.tell("long_lie", 0.9, minutes=10.4)
    row = await home.the_alert()
    assert (row.id, row.state, row.acknowledged_by, row.step) == (taken.id, "notifying", None, 1)
    assert [m.person_id for m in await home.called(row.id)] == [home.people.li_na.id] * 2
    assert "跌倒后10分钟" in await home.last_message(row.id)
    assert row.evidence["impact_g"] == 3.4


async def test_a_long_lie_of_a_fall_nobody_has_taken_calls_the_next_at_once(home: Fallen) -> None:
    await home.tell("fall")
    await home.wait(seconds=31)
    await home.wait(minutes=1)
    await home.tell("long_lie", 0.9, minutes=10.0)
    row = await home.the_alert()
    assert (row.state, row.step) == ("notifying", 2)
    assert row.climb_at == home.clock.now + timedelta(minutes=2)
    assert [m.person_id for m in await home.called(row.id)] == [home.people.li_na.id, home.people.chen.id]
    assert "10 minutes after a fall" in await home.last_message(row.id)


async def test_a_long_lie_told_again_calls_again(home: Fallen) -> None:
    taken = await fallen_and_taken(home)
    for minutes, messages_then in ((10.0, 2), (30.0, 3)):
        await home.tell("long_lie", 0.9, minutes=minutes)
        assert len(await home.called(taken.id)) == messages_then
        async with home.database.service() as c:
            await actions.acknowledge(c, taken.id, home.people.li_na.id, home.clock.now, "sms")
        home.clock.go_on(minutes=20)
    assert "跌倒后30分钟" in (await home.called(taken.id))[-1].body


async def test_a_long_lie_without_an_open_fall_is_an_alert_of_its_own(home: Fallen) -> None:
    await home.tell("long_lie", 0.9, minutes=10.0)
    row = await home.the_alert()
    assert (row.rule, row.state, row.step) == ("fall.long_lie", "notifying", 1)
    assert "跌倒后10分钟" in await home.last_message(row.id)


async def test_a_new_fall_speaks_for_itself_again(home: Fallen) -> None:
    taken = await fallen_and_taken(home)
    await home.tell("long_lie", 0.9, minutes=10.0)
    async with home.database.service() as c:
        await actions.acknowledge(c, taken.id, home.people.li_na.id, home.clock.now, "sms")
    await home.wait(minutes=5)
    await home.tell("fall")
    await home.wait(seconds=31)
    assert "30秒内无回应" in await home.last_message(taken.id)


async def test_an_answer_to_one_question_leaves_another_open(home: Fallen) -> None:
    await home.tell("inactivity", 1.0)
    await home.tell("fall")
    home.clock.go_on(seconds=5)
    await home.tell("activity_resumed", 1.0)
    async with home.database.service() as c:
        assert await value(c, "SELECT array_agg(rule) FROM prompt WHERE answered_at IS NULL") == ["fall"]


async def missing_after_silence_of(home: Fallen, device: int) -> list[str]:
    """What is open when blood pressure has not been measured for days and this device has long been silent."""
    await home.measure(systolic=128, diastolic=79)
    await home.judged()
    home.clock.go_on(days=2)
    async with home.database.service() as c:
        told = home.people.wang, device, "device_silence", 2.0, home.clock.now
        await readings.insert(c, batch(home.people, told, received_at=home.clock.now))
    await home.wait(days=2)
    return sorted(row.rule for row in await home.open_alerts() if row.resident_id == home.people.wang)


async def test_a_silent_cuff_says_already_that_no_pressure_is_measured(home: Fallen) -> None:
    assert await missing_after_silence_of(home, home.people.cuff) == ["device.silent"]


async def test_a_silent_wearable_does_not_say_that_no_pressure_is_measured(home: Fallen) -> None:
    assert await missing_after_silence_of(home, home.people.wearable) == ["bp.missing", "device.silent"]
