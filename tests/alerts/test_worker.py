"""The watch turns accepted readings into alerts: each once, whatever happens to it, and says whom to call."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from alerts import actions, protocol, worker
from alerts.apart import SET_ASIDE
from alerts.worker import Watch, utc_now
from store import alerts, feed, messages, readings
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database, Unavailable, value
from tests.alerts.clock import Clock
from tests.alerts.network import until
from tests.household import NOW, Household, batch, furnish

pytestmark = pytest.mark.anyio
RULES = protocol.load()


_CUT = """
CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the server is going down' USING ERRCODE = '57P01'; END $$;
CREATE TRIGGER cut BEFORE UPDATE OF tx ON watch_partition FOR EACH ROW EXECUTE FUNCTION cut();
"""


class Home:
    """Mrs Wang's home, a watch over it, and a clock that the test moves."""

    def __init__(self, database: Database, household: Household) -> None:
        self.database = database
        self.people = household
        self.clock = Clock(NOW)
        self.watch = Watch(database, RULES, clock=self.clock)

    async def measure(self, *, device: int | None = None, at: datetime | None = None, **values: float) -> None:
        at = at or self.clock.now
        device = device or self.people.cuff
        items = [(self.people.wang, device, name, value, at) for name, value in values.items()]
        async with self.database.service() as c:
            await readings.insert(c, batch(self.people, *items, received_at=self.clock.now))

    async def start_anew(self) -> None:
        """Another worker goes on; the one before has left."""
        await self.watch.leave()
        self.watch = Watch(self.database, RULES, clock=self.clock)

    async def judged(self) -> None:
        """Let the watch work until nothing is left."""
        for _ in range(100):
            wait_s = await self.watch.round()
            if wait_s > 0.1:
                return
            await asyncio.sleep(wait_s)
        raise AssertionError("the watch does not come to rest")

    async def open_alerts(self) -> list[alerts.AlertRow]:
        async with self.database.service() as c:
            return await alerts.open_alerts(c)

    async def called(self, alert_id: int) -> list[messages.MessageRow]:
        async with self.database.service() as c:
            return [m for m in await messages.of_alert(c, alert_id) if m.purpose == "alert"]

    async def trail(self, alert_id: int) -> list[str]:
        async with self.database.service() as c:
            return [step.kind for step in (await alerts.trail(c, [alert_id]))[alert_id]]


@pytest.fixture
async def home(database: Database) -> Home:
    async with database.service() as c:
        return Home(database, await furnish(c))


async def severe_twice(home: Home) -> alerts.AlertRow:
    await home.measure(systolic=192, diastolic=118, pulse=96)
    await home.judged()
    home.clock.go_on(minutes=6)
    await home.measure(systolic=188, diastolic=116, pulse=94)
    await home.judged()
    [row] = await home.open_alerts()
    return row


async def test_one_severe_pressure_asks_the_resident_and_calls_nobody(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118, pulse=96)
    await home.judged()
    async with home.database.service() as c:
        [asked] = await alerts.open_prompts(c, home.people.wang, home.clock.now)
    assert (asked.kind, asked.until) == ("repeat_measurement", NOW + timedelta(minutes=30))
    assert await home.open_alerts() == []


async def test_a_second_severe_pressure_calls_the_care_worker_on_duty_in_her_language(home: Home) -> None:
    row = await severe_twice(home)
    assert (row.rule, row.priority, row.state, row.step) == ("bp.severe", "high", "notifying", 1)
    assert row.climb_at == home.clock.now + timedelta(minutes=2)
    [call] = await home.called(row.id)
    assert (call.person_id, call.address, call.state) == (home.people.li_na.id, home.people.li_na.phone, "due")
    assert "王秀英" in call.body
    assert "192/118" in call.body
    assert "188/116" in call.body
    assert str(row.reply_code) in call.body
    assert await home.trail(row.id) == ["raised", "called"]


async def test_after_the_call_the_resident_is_asked_no_more(home: Home) -> None:
    await severe_twice(home)
    async with home.database.service() as c:
        assert await alerts.open_prompts(c, home.people.wang, home.clock.now) == []


async def test_a_normal_repeat_answers_the_question_and_calls_nobody(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    home.clock.go_on(minutes=6)
    await home.measure(systolic=141, diastolic=85)
    await home.judged()
    async with home.database.service() as c:
        assert await alerts.open_prompts(c, home.people.wang, home.clock.now) == []
    assert await home.open_alerts() == []


async def test_no_repeat_within_half_an_hour_calls_though_nothing_arrives(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    home.clock.go_on(minutes=30, seconds=1)
    await home.judged()
    [row] = await home.open_alerts()
    assert (row.rule, row.state) == ("bp.severe", "notifying")


async def test_a_fall_calls_with_what_the_band_saw(home: Home) -> None:
    async with home.database.service() as c:
        fell = batch(home.people, (home.people.wang, home.people.wearable, "fall", 0.97, NOW))
        object.__setattr__(fell, "details", {0: {"impact_g": 3.4, "stillness_s": 12.0}})
        await readings.insert(c, fell)
    await home.judged()
    assert await home.open_alerts() == []
    home.clock.go_on(seconds=31)
    await home.judged()
    [row] = await home.open_alerts()
    assert row.rule == "fall"
    assert row.happened_at == NOW
    assert (row.evidence["impact_g"], row.evidence["probability"]) == (3.4, 0.97)


async def test_a_help_button_calls_at_once(home: Home) -> None:
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [row] = await home.open_alerts()
    assert (row.rule, row.priority) == ("help_call", "high")
    assert len(await home.called(row.id)) == 1


async def test_a_low_battery_is_a_task_on_the_board_without_a_message(home: Home) -> None:
    await home.measure(device=home.people.button, battery=8)
    await home.judged()
    [row] = await home.open_alerts()
    assert (row.rule, row.priority, row.state, row.step, row.climb_at) == ("device.battery", "low", "raised", 0, None)
    assert await home.called(row.id) == []
    assert row.reply_code is None


async def test_a_device_that_was_removed_with_a_low_battery_hides_no_others(home: Home) -> None:
    await home.measure(device=home.people.cuff, battery=9)
    await home.judged()
    [of_the_cuff] = await home.open_alerts()
    await close(home, of_the_cuff.id)
    async with home.database.service() as c:
        await c.execute("UPDATE device SET removed_at = %s WHERE id = %s", [home.clock.now, home.people.cuff])
    home.clock.go_on(hours=1)
    await home.measure(device=home.people.button, battery=8)
    await home.judged()
    [of_the_button] = await home.open_alerts()
    assert (of_the_button.rule, of_the_button.evidence["device"]) == ("device.battery", home.people.button)


async def test_with_nobody_on_duty_everybody_of_the_centre_is_called_and_it_is_said(home: Home) -> None:
    async with home.database.service() as c:
        await c.execute("DELETE FROM shift")
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [row] = await home.open_alerts()
    called = {m.person_id for m in await home.called(row.id)}
    assert called == {p.id for p in (home.people.doctor, home.people.li_na, home.people.chen, home.people.supervisor)}
    assert "unmanned" in await home.trail(row.id)


async def test_what_clears_stays_open_until_a_person_closes_it(home: Home) -> None:
    row = await severe_twice(home)
    home.clock.go_on(minutes=10)
    await home.measure(systolic=140, diastolic=84)
    await home.judged()
    [row] = await home.open_alerts()
    assert row.cleared_at == home.clock.now
    assert row.state == "notifying"


async def test_a_press_after_the_last_one_was_taken_calls_again_however_often(home: Home) -> None:
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [row] = await home.open_alerts()
    for presses, messages_then in ((2, 2), (3, 3), (4, 4)):
        async with home.database.service() as c:
            taken = {
                "state": "acknowledged",
                "acknowledged_by": home.people.li_na.id,
                "acknowledged_at": home.clock.now,
            }
            await alerts.update(c, row.id, {**taken, "climb_at": None})
        home.clock.go_on(minutes=4)
        await home.measure(device=home.people.button, help_call=1.0)
        await home.judged()
        assert len(await home.called(row.id)) == messages_then, f"after {presses} presses"
    assert (await home.trail(row.id)).count("raised_again") == 3
    [still_one] = await home.open_alerts()
    assert still_one.id == row.id


async def test_the_newest_value_of_each_metric_is_kept_whatever_order_they_came_in(home: Home) -> None:
    await home.measure(systolic=131, diastolic=79, at=NOW - timedelta(minutes=1))
    await home.measure(systolic=128, at=NOW - timedelta(hours=2))
    await home.measure(systolic=127, at=NOW - timedelta(hours=1))
    await home.judged()
    async with home.database.service() as c:
        latest = (await readings.latest(c))[home.people.wang]
    assert (latest["systolic"].value, latest["systolic"].at) == (131, NOW - timedelta(minutes=1))
    assert latest["diastolic"].value == 79


async def test_open_pages_are_told_whose_reading_came(home: Home) -> None:
    notes = home.database.listen()
    assert await anext(notes) == {"kind": "reconnected"}
    await home.measure(systolic=131, diastolic=79)
    await home.judged()
    async with asyncio.timeout(5):
        while await anext(notes) != {"kind": "latest_reading", "resident_id": home.people.wang}:
            pass
    await notes.aclose()


async def test_two_watches_never_judge_the_same_reading(home: Home) -> None:
    other = Watch(home.database, RULES, clock=home.clock)
    for n in range(10):
        home.clock.go_on(seconds=1)
        await home.measure(systolic=192 if n == 3 else 150, diastolic=90)
        await asyncio.gather(home.watch.round(), other.round())
    await home.judged()
    home.clock.go_on(minutes=31)
    await asyncio.gather(home.watch.round(), other.round())
    await home.judged()
    async with home.database.service() as c:
        assert await value(c, "SELECT count(*) FROM prompt") == 1


async def test_a_round_that_fails_is_done_again_from_the_record(home: Home, database_url: str) -> None:
    await home.measure(device=home.people.button, help_call=1.0)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(_CUT)
        with pytest.raises(Unavailable):
            await home.watch.round()
        assert await home.open_alerts() == []
        owner.execute("DROP TRIGGER cut ON watch_partition")
    await home.judged()
    assert [row.rule for row in await home.open_alerts()] == ["help_call"]


async def test_a_watch_that_starts_anew_goes_on_where_the_last_one_stood(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    await home.start_anew()
    home.clock.go_on(minutes=6)
    await home.measure(systolic=188, diastolic=116)
    await home.judged()
    [row] = await home.open_alerts()
    assert row.rule == "bp.severe"


async def test_a_backlog_is_judged_in_one_round(home: Home) -> None:
    for n in range(50):
        await home.measure(systolic=130 + n % 3, diastolic=80, at=NOW - timedelta(minutes=50 - n))
    await home.watch.round()
    async with home.database.service() as c:
        cursor = await c.execute("SELECT DISTINCT tx::text::bigint, seq FROM watch_partition")
        assert [feed.Position(*row) for row in await cursor.fetchall()] == [await feed.end(c)]


async def test_it_wakes_by_itself_when_a_reading_is_accepted(home: Home) -> None:
    watching = asyncio.create_task(Watch(home.database, RULES, clock=home.clock).run())
    try:
        await asyncio.sleep(0.3)
        await home.measure(device=home.people.button, help_call=1.0)
        await until(home.open_alerts, within_s=5)
    finally:
        watching.cancel()


async def test_it_waits_while_the_database_is_away_and_goes_on(scratch: Any) -> None:
    server = EmbeddedPostgres(scratch / "watch-away", settings=("-c", "fsync=off"))
    dsn = server.start()
    try:
        migrate(dsn)
        async with Database(dsn, max_size=4) as database:
            async with database.service() as c:
                household = await furnish(c, utc_now())
            watching = asyncio.create_task(Watch(database, RULES).run())
            await asyncio.sleep(0.2)
            server.kill()
            await asyncio.sleep(0.5)
            assert not watching.done()
            server.start()

            async def press() -> bool:
                now = utc_now()
                try:
                    async with database.service() as c:
                        pressed = batch(
                            household, (household.wang, household.button, "help_call", 1.0, now), received_at=now
                        )
                        await readings.insert(c, pressed)
                        return bool(await alerts.open_alerts(c))
                except Unavailable:
                    return False

            await until(press, within_s=20)
            watching.cancel()
    finally:
        server.stop()


async def test_a_question_outlives_the_rows_that_knew_of_it(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    async with home.database.service() as c:
        await c.execute("DELETE FROM watch_row")  # as when the rules core has come to keep them otherwise
    await home.start_anew()
    home.clock.go_on(minutes=30, seconds=1)
    await home.judged()
    assert [row.rule for row in await home.open_alerts()] == ["bp.severe"]


async def feed_a_stranger(home: Home) -> None:
    """A reading of somebody the record does not know: her row cannot be kept, whatever the watch does."""
    stranger = batch(home.people, (999_999, home.people.cuff, "systolic", 150.0, home.clock.now))
    async with home.database.service() as c:
        await readings.insert(c, stranger)


async def test_a_question_outlives_a_state_that_cannot_be_read_any_more(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    async with home.database.service() as c:
        await c.execute("UPDATE watch_row SET state = 'none of ours' WHERE resident_id = %s", [home.people.wang])
    await home.start_anew()
    home.clock.go_on(minutes=30, seconds=1)
    await home.judged()
    assert [row.rule for row in await home.open_alerts()] == ["bp.severe"]


_SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.35); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON alert_event FOR EACH ROW EXECUTE FUNCTION slow();
"""


async def test_a_round_that_is_too_much_is_done_in_smaller_ones(
    home: Home, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.judged()
    monkeypatch.setattr(worker, "_ROUND_S", 1.2)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(_SLOW)
    for _ in range(3):
        home.clock.go_on(minutes=1)
        await home.measure(device=home.people.button, help_call=1.0)
    with pytest.raises(Unavailable):
        await home.watch.round()
    for _ in range(20):
        with contextlib.suppress(Unavailable):
            await home.watch.round()
    async with home.database.service() as c:
        assert await feed.lag_s(c) == 0.0
    assert [row.rule for row in await home.open_alerts()] == ["help_call"]


async def test_a_reading_that_cannot_be_judged_stops_nobody_elses_alert(home: Home) -> None:
    await home.judged()
    await feed_a_stranger(home)
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [row] = await home.open_alerts()
    assert (row.resident_id, row.rule, row.state) == (home.people.wang, "help_call", "notifying")


async def test_what_cannot_be_judged_is_set_aside_with_its_reason_and_counted(home: Home) -> None:
    before = SET_ASIDE.labels("reading")._value.get()
    await feed_a_stranger(home)
    await home.judged()
    async with home.database.service() as c:
        reason = await value(c, "SELECT reason FROM reading_quarantine WHERE metric = 'systolic' AND value = 150")
        assert await feed.lag_s(c) == 0
    assert reason == "not_judged:ForeignKeyViolation"
    assert SET_ASIDE.labels("reading")._value.get() == before + 1


async def test_a_spoilt_row_of_one_resident_is_forgotten_and_everybody_is_watched_again(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    async with home.database.service() as c:
        await c.execute("UPDATE watch_row SET state = 'spoilt' WHERE resident_id = %s", [home.people.zhao])
    await home.start_anew()
    home.clock.go_on(minutes=6)
    await home.measure(systolic=188, diastolic=116)
    await home.judged()
    assert [(a.resident_id, a.rule) for a in await home.open_alerts()] == [(home.people.wang, "bp.severe")]


async def test_judged_apart_a_question_goes_on_where_it_stood(home: Home) -> None:
    await home.measure(systolic=192, diastolic=118)
    await home.judged()
    await feed_a_stranger(home)
    home.clock.go_on(minutes=30, seconds=1)
    await home.judged()
    assert [(a.resident_id, a.rule) for a in await home.open_alerts()] == [(home.people.wang, "bp.severe")]


async def close(home: Home, alert_id: int) -> None:
    async with home.database.service() as c:
        await actions.resolve(c, alert_id, home.people.li_na.id, home.clock.now, "well")


async def test_after_an_alert_is_closed_a_pressure_that_never_came_down_calls_again(home: Home) -> None:
    first = await severe_twice(home)
    await close(home, first.id)
    home.clock.go_on(hours=20)
    again = await severe_twice(home)
    assert again.id != first.id
    assert [call.person_id for call in await home.called(again.id)] == [home.people.li_na.id]


async def test_closing_an_alert_raises_nothing_by_itself(home: Home) -> None:
    await close(home, (await severe_twice(home)).id)
    home.clock.go_on(minutes=31)
    await home.measure(systolic=141, diastolic=85)
    await home.judged()
    assert await home.open_alerts() == []


async def measured_high_for(home: Home, days: int) -> list[str]:
    """Twice a day, four readings each; the rules of the alerts that stand afterwards."""
    for _ in range(2 * days):
        home.clock.go_on(hours=12, seconds=5)
        for minutes in (0, 1):
            await home.measure(at=home.clock.now - timedelta(minutes=minutes), systolic=146, diastolic=93)
        await home.judged()
    return [row.rule for row in await home.open_alerts() if row.kind == "physiological"]


async def test_a_task_about_a_week_says_the_same_again_only_when_the_week_is_another(home: Home) -> None:
    assert await measured_high_for(home, 7) == ["bp.average"]
    [task] = [row for row in await home.open_alerts() if row.rule == "bp.average"]
    await close(home, task.id)
    assert await measured_high_for(home, 6) == []
    assert await measured_high_for(home, 2) == ["bp.average"]


async def leave(home: Home, at: datetime) -> None:
    async with home.database.service() as c:
        await c.execute("UPDATE resident SET left_at = %s WHERE id = %s", [at, home.people.wang])


async def test_who_has_left_raises_no_alert_neither_by_a_reading_nor_by_silence(home: Home) -> None:
    await home.measure(systolic=140, diastolic=80)
    await home.judged()
    await leave(home, home.clock.now)
    home.clock.go_on(hours=1)
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    home.clock.go_on(days=4)
    await home.judged()
    assert [a.rule for a in await home.open_alerts() if a.resident_id == home.people.wang] == []


async def test_who_will_leave_is_watched_until_then(home: Home) -> None:
    await leave(home, home.clock.now + timedelta(days=1))
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    assert [a.rule for a in await home.open_alerts()] == ["help_call"]


async def test_a_new_call_for_help_is_heard_though_the_one_before_was_put_aside(home: Home) -> None:
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [row] = await home.open_alerts()
    async with home.database.service() as c:
        until_then = home.clock.now + timedelta(hours=8)
        await actions.shelve(c, row.id, home.people.li_na.id, home.clock.now, until_then)
    home.clock.go_on(hours=1)
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [again] = await home.open_alerts()
    assert (again.id, again.state) == (row.id, "notifying")
    assert len(await home.called(row.id)) == 2


async def test_a_server_clock_that_had_run_ahead_makes_nothing_too_old_to_alert(home: Home) -> None:
    home.clock.go_on(hours=30)
    await home.measure(systolic=128, diastolic=80)
    await home.judged()
    home.clock.go_on(hours=-30)
    await home.measure(device=home.people.button, help_call=1.0)
    await home.judged()
    [alert] = [a for a in await home.open_alerts() if a.rule == "help_call"]
    assert alert.raised_at == NOW
    assert len(await home.called(alert.id)) == 1
