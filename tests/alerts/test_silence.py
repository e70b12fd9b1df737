"""A gateway or a device gone silent becomes an alert by the resident's own rhythm, once, and ends when it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import store.silence
from alerts import actions, protocol, rhythm, silence
from alerts.dispatch import Dispatcher
from alerts.silence import Silence
from alerts.worker import Watch
from store import alerts, feed, gateways, messages, people, readings, residents
from store.postgres import Database, value
from tests.alerts.clock import Clock
from tests.household import Household, batch, furnish

RULES = protocol.load()
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
OVERDUE = 1.5
"""What ``device.silent`` calls silent."""


def us(moments: Sequence[datetime]) -> rhythm.Int64s:
    return np.array([at.replace(tzinfo=None) for at in moments], "datetime64[us]").astype(np.int64)


def overdue_after(moments: Sequence[datetime], at_most: timedelta = 20 * DAY) -> timedelta | None:
    """How long after its last word a device that spoke at these moments is overdue."""
    spoke = np.zeros(rhythm.BYTES, np.uint8)
    newest = np.array([rhythm.speak(spoke, 0, us(moments))])
    pace = rhythm.learn(spoke[None], newest)
    for n in range(1, at_most // (10 * MINUTE)):
        if rhythm.silence(pace, newest, int(newest[0]) + n * 600_000_000)[0] >= OVERDUE:
            return n * 10 * MINUTE
    return None


def every(*hours: float, days: Sequence[int] = range(28)) -> list[datetime]:
    return [MONDAY + day * DAY + hour * HOUR for day in days for hour in hours]


def within(found: timedelta | None, least: timedelta, most: timedelta) -> bool:
    return found is not None and least <= found <= most


def test_a_cuff_used_every_morning_is_overdue_on_the_second_morning_without_it() -> None:
    assert within(overdue_after(every(7)), 1.5 * DAY, 2.1 * DAY)


def test_some_minutes_earlier_or_later_change_nothing() -> None:
    dice = np.random.default_rng(3)
    moments = [at + timedelta(minutes=float(dice.uniform(0, 90))) for at in every(7)]
    assert within(overdue_after(moments), 1.5 * DAY, 3 * DAY)


def test_two_measurements_in_a_row_are_one_session() -> None:
    assert within(overdue_after(every(7, 7.1, 7.5, 20, 20.1, 20.5)), 18 * HOUR, 26 * HOUR)


def test_a_cuff_used_twice_a_week_is_not_overdue_after_four_days() -> None:
    assert within(overdue_after(every(9, days=[d for d in range(28) if d % 7 in (1, 4)])), 5 * DAY, 9 * DAY)


def test_a_cuff_used_now_and_then_is_given_its_own_longest_pauses() -> None:
    dice = np.random.default_rng(5)
    days = [0, *(d for d in range(1, 27) if dice.random() < 0.35), 27]
    assert within(overdue_after(every(9, days=days)), 5 * DAY, 14 * DAY)


def test_what_streams_is_overdue_within_an_hour() -> None:
    assert within(overdue_after([MONDAY + n * 10 * MINUTE for n in range(28 * 144)]), 20 * MINUTE, HOUR)


def test_what_streams_by_day_is_not_overdue_at_night_and_soon_in_the_morning() -> None:
    by_day = [at + n * 10 * MINUTE for at in every(7) for n in range(15 * 6)]  # until 22:00
    assert within(overdue_after(by_day), 9 * HOUR, 10 * HOUR)
    assert within(overdue_after(by_day[: -10 * 6]), 20 * MINUTE, HOUR)  # taken off at noon


def test_of_whom_little_is_known_a_week_without_a_word_is_overdue() -> None:
    assert within(overdue_after(every(7, days=range(3))), 7 * DAY, 8 * DAY)


@given(
    bits=st.binary(min_size=rhythm.BYTES, max_size=rhythm.BYTES),
    since=st.integers(0, 2**45),
    waits=st.lists(st.integers(0, 2**41), min_size=2, max_size=5),
)
def test_a_silence_never_grows_shorter_while_it_lasts(bits: bytes, since: int, waits: list[int]) -> None:
    spoke = np.frombuffer(bits, np.uint8).copy()
    newest = np.array([rhythm.speak(spoke, since, np.array([since]))])
    pace = rhythm.learn(spoke[None], newest)
    lengths = [float(rhythm.silence(pace, newest, since + wait)[0]) for wait in sorted(waits)]
    assert lengths == sorted(lengths)
    assert all(0 <= length < np.inf for length in lengths)


@given(moments=st.lists(st.integers(0, 60 * 72), min_size=1, max_size=60))
def test_the_bits_hold_the_last_four_weeks_in_whatever_order_they_come(moments: list[int]) -> None:
    spoke, newest = np.zeros(rhythm.BYTES, np.uint8), 0
    for moment in moments:
        newest = rhythm.speak(spoke, newest, np.array([moment * rhythm.SLOT_US]))
    last = max(moments)
    kept = {m for m in moments if m > last - rhythm.SLOTS}
    held = np.flatnonzero(np.unpackbits(spoke))
    # What came before a later word pushed it out does not come back.
    assert {int(n) for n in held} <= {m % rhythm.SLOTS for m in kept}
    assert last % rhythm.SLOTS in held


class Street:
    """The household with a watch, an ear for silence, and a clock that the test moves."""

    def __init__(self, database: Database, home: Household, clock: Clock) -> None:
        self.database, self.home, self.clock = database, home, clock
        self.watch = Watch(database, RULES, clock=clock)
        self.start_anew()
        self.down = False

    def start_anew(self) -> None:
        """Another process listens from now on; it does not mind that hours pass between two of its rounds."""
        self.ear = Silence(self.database, clock=self.clock, deaf_after=DAY)

    async def live(self, length: timedelta, *, step: timedelta = 30 * MINUTE, cuff: Sequence[float] = ()) -> None:
        """Let time pass: the gateway beats unless it is down, and the cuff is used at these hours of the day (UTC)."""
        end = self.clock.now + length
        while self.clock.now < end:
            before = self.clock.now
            self.clock.now += step
            for hour in cuff:
                at = before.replace(hour=0, minute=0) + hour * HOUR
                if before < at <= self.clock.now:
                    await self.measure(at)
            if not self.down:
                await self.beat()
            await self.listen()

    async def beat(self, waiting: int = 0) -> None:
        async with self.database.service() as c:
            await c.execute(
                "UPDATE gateway SET last_seen_at = %s, outbox_waiting = %s WHERE id = %s",
                [self.clock.now, waiting, self.home.gateway],
            )

    async def measure(self, at: datetime | None = None, systolic: float = 130) -> None:
        at = at or self.clock.now
        async with self.database.service() as c:
            item = (self.home.wang, self.home.cuff, "systolic", systolic, at)
            await readings.insert(c, batch(self.home, item, received_at=self.clock.now))

    async def listen(self) -> None:
        # The feed gives what was committed before any transaction that still runs: another test's may.
        for _ in range(50):
            more = await self.ear.round()
            await self.watch.round()
            if not more:
                break
        for _ in range(50):
            if await self.watch.round() > 0.1:
                break
        await Dispatcher(self.database, {}, clock=self.clock).climb()

    async def open(self, resident: int | None = None) -> dict[str, alerts.AlertRow]:
        async with self.database.service() as c:
            return {row.rule: row for row in await alerts.open_alerts(c, resident or self.home.wang)}

    async def called(self) -> int:
        """To how many alerts anybody was called."""
        async with self.database.service() as c:
            return int(await value(c, "SELECT count(DISTINCT alert_id) FROM message WHERE purpose = 'alert'"))


@pytest.fixture
async def street(database: Database) -> Street:
    clock = Clock(MONDAY + 4 * HOUR)  # noon in Shanghai
    async with database.service() as c:
        home = await furnish(c, clock.now)
        await c.execute("UPDATE resident SET enrolled_at = %s", [clock.now])
    it = Street(database, home, clock)
    await it.beat()
    await it.listen()
    return it


pytestmark = pytest.mark.anyio


async def test_a_silent_gateway_is_a_task_then_a_call_and_over_when_it_answers(street: Street) -> None:
    street.down = True
    await street.live(50 * MINUTE, step=10 * MINUTE)
    assert await street.open() == {}
    await street.live(20 * MINUTE, step=10 * MINUTE)
    assert set(await street.open()) == {"gateway.silent"}
    assert await street.called() == 0
    await street.live(3 * HOUR)
    assert set(await street.open()) == {"gateway.silent", "gateway.unwatched"}
    assert await street.called() == 1
    street.down = False
    await street.live(MINUTE, step=MINUTE)
    assert all(row.cleared_at is not None for row in (await street.open()).values())


async def test_one_gateway_of_two_homes_is_a_task_in_both_and_one_call(street: Street) -> None:
    street.down = True
    await street.live(5 * HOUR)
    for resident in (street.home.wang, street.home.zhao):
        assert set(await street.open(resident)) == {"gateway.silent", "gateway.unwatched"}
    assert await street.called() == 1


async def test_at_night_the_call_waits_for_the_morning_and_for_what_is_over_it_does_not_come(street: Street) -> None:
    await street.live(9 * HOUR, step=HOUR)  # nine in the evening in Shanghai
    street.down = True
    await street.live(6 * HOUR)
    row = (await street.open())["gateway.unwatched"]
    assert await street.called() == 0
    assert row.climb_at == MONDAY + 23 * HOUR  # seven in the morning
    dispatcher = Dispatcher(street.database, {}, clock=street.clock)
    street.clock.now = row.climb_at
    await dispatcher.climb()
    assert await street.called() == 1


async def test_a_gateway_that_came_back_at_night_calls_nobody_in_the_morning(street: Street) -> None:
    await street.live(9 * HOUR, step=HOUR)
    street.down = True
    await street.live(6 * HOUR)
    street.down = False
    await street.live(MINUTE, step=MINUTE)
    row = (await street.open())["gateway.unwatched"]
    assert row.cleared_at is not None
    assert row.climb_at is None


async def test_a_revoked_gateway_and_a_resident_who_left_are_not_silent(street: Street) -> None:
    async with street.database.service() as c:
        await gateways.revoke(c, street.home.centre, "stairway 9", street.clock.now)
    street.down = True
    await street.live(6 * HOUR)
    assert await street.open() == {}


async def test_revoking_a_silent_gateway_ends_its_alert(street: Street) -> None:
    street.down = True
    await street.live(2 * HOUR)
    async with street.database.service() as c:
        await gateways.revoke(c, street.home.centre, "stairway 9", street.clock.now)
    await street.live(MINUTE, step=MINUTE)
    assert (await street.open())["gateway.silent"].cleared_at is not None


async def test_a_gateway_in_the_place_of_a_silent_one_ends_its_alert_and_is_missed_itself(street: Street) -> None:
    street.down = True
    await street.live(5 * HOUR)
    async with street.database.service() as c:
        new = await value(
            c,
            "INSERT INTO gateway (centre_id, name, paired_at, last_seen_at) VALUES (%s, 'new', %s, %s) RETURNING id",
            [street.home.centre, street.clock.now, street.clock.now],
        )
        await c.execute("UPDATE device SET gateway_id = %s", [new])
    await street.live(MINUTE, step=MINUTE)
    assert [row.cleared_at is not None for row in (await street.open()).values()] == [True, True]
    await street.live(5 * HOUR)
    assert [row.cleared_at is None for row in (await street.open()).values()] == [True, True]


async def test_after_a_pause_of_the_service_itself_nobody_was_silent(street: Street) -> None:
    street.ear = Silence(street.database, clock=street.clock)
    street.clock.now += 8 * HOUR
    street.down = True
    await street.live(40 * MINUTE, step=4 * MINUTE)
    assert await street.open() == {}


async def test_after_a_start_every_gateway_has_time_to_find_the_service_again(street: Street) -> None:
    street.clock.now += 8 * HOUR  # as if somebody had listened all the while
    street.start_anew()
    await street.listen()
    assert await street.open() == {}
    await street.live(2 * MINUTE, step=MINUTE)
    assert await street.open() == {}


async def test_when_no_gateway_at_all_is_heard_the_fault_is_ours_but_not_when_one_is(street: Street) -> None:
    async with street.database.service() as c:
        for n in range(12):
            person = await people.add_person(c, street.home.centre, f"居民{n}", f"Resident {n}", None, "en")
            new = residents.NewResident(person.id, street.home.centre, MONDAY.date(), "female", "x", "x")
            resident = await residents.add(c, new)
            code = f"code {n}".encode()
            await gateways.issue_pairing_code(c, street.home.centre, f"stairway 1{n}", code, street.clock.now + HOUR)
            gateway = await gateways.redeem(c, code, f"key {n}".encode(), street.clock.now)
            assert gateway is not None
            await gateways.add_device(c, f"C0:00:00:00:01:{n:02X}", resident, "blood_pressure", gateway.id)
    street.down = True
    await street.live(2 * HOUR)
    assert silence.OUR_FAULT._value.get() == 1
    async with street.database.service() as c:
        assert await alerts.open_alerts(c) == []
    street.down = False  # the first gateway is heard, the twelve are not
    await street.live(2 * HOUR)
    assert silence.OUR_FAULT._value.get() == 0
    async with street.database.service() as c:
        assert {a.rule for a in await alerts.open_alerts(c)} == {"gateway.silent"}
        assert len(await alerts.open_alerts(c)) == 12


async def learned(street: Street) -> None:
    """Four weeks in which the cuff was used every morning at eight in Shanghai."""
    moments = [MONDAY - n * DAY for n in range(28)]
    async with street.database.service() as c:
        items = [(street.home.wang, street.home.cuff, "systolic", 130.0, at) for at in moments]
        await readings.insert(c, batch(street.home, *items, received_at=MONDAY))
        await c.execute("DELETE FROM watch_state WHERE name = 'silence'")
        await c.execute("DELETE FROM device_rhythm")
    street.start_anew()
    await street.listen()


async def test_a_cuff_missed_for_the_second_morning_is_a_task_until_it_is_used(street: Street) -> None:
    await learned(street)
    await street.live(36 * HOUR, step=3 * HOUR)
    assert await street.open() == {}
    await street.live(12 * HOUR, step=3 * HOUR)
    row = (await street.open())["device.silent"]
    assert row.evidence["device"] == street.home.cuff
    assert await street.called() == 0
    await street.measure()
    await street.live(MINUTE, step=MINUTE)
    assert (await street.open())["device.silent"].cleared_at is not None


async def test_what_a_silent_device_says_already_is_not_said_by_another_rule(street: Street) -> None:
    await learned(street)
    await street.live(5 * DAY, step=6 * HOUR)
    assert set(await street.open()) == {"device.silent"}


async def test_behind_a_silent_gateway_no_device_is_and_afterwards_its_silence_counts_anew(street: Street) -> None:
    await learned(street)
    street.down = True
    await street.live(4 * DAY, step=4 * HOUR)
    assert set(await street.open()) == {"gateway.silent", "gateway.unwatched"}
    street.down = False
    await street.live(20 * HOUR, step=4 * HOUR)
    assert "device.silent" not in await street.open()
    await street.live(2 * DAY, step=4 * HOUR)
    assert "device.silent" in await street.open()


async def test_while_a_gateway_catches_up_its_devices_are_not_silent(street: Street) -> None:
    await learned(street)
    for _ in range(20):
        street.clock.now += 4 * HOUR
        await street.beat(waiting=20_000)
        await street.listen()
    assert "device.silent" not in await street.open()


async def test_a_removed_device_is_not_silent_any_more(street: Street) -> None:
    await learned(street)
    await street.live(2.5 * DAY, step=4 * HOUR)
    assert "device.silent" in await street.open()
    async with street.database.service() as c:
        await c.execute("UPDATE device SET removed_at = %s WHERE id = %s", [street.clock.now, street.home.cuff])
    await street.live(MINUTE, step=MINUTE)
    assert (await street.open())["device.silent"].cleared_at is not None


async def test_a_help_button_that_only_speaks_when_pressed_is_never_silent(street: Street) -> None:
    async with street.database.service() as c:
        await c.execute("UPDATE device SET last_seen_at = %s WHERE id = %s", [street.clock.now, street.home.button])
    await street.live(12 * DAY, step=12 * HOUR)
    assert "device.silent" not in await street.open()


async def say(street: Street, device: int, trouble: str | None) -> None:
    """Its gateway says this of the device."""
    async with street.database.service() as c:
        await c.execute("UPDATE device SET trouble = %s WHERE id = %s", [trouble, device])


@pytest.mark.parametrize("was_heard", [True, False], ids=["pressed before", "never heard"])
async def test_a_help_button_that_cannot_be_heard_is_a_task_until_it_can(street: Street, was_heard: bool) -> None:
    home = street.home
    if was_heard:
        async with street.database.service() as c:
            await c.execute("UPDATE device SET last_seen_at = %s WHERE id = %s", [street.clock.now, home.button])
    await say(street, home.button, "it counts from the start again, as with a new battery, and is not heard: remove it")
    await street.live(4 * MINUTE, step=2 * MINUTE)
    row = (await street.open())["device.silent"]
    assert row.evidence["device"] == home.button
    await street.live(2 * HOUR)
    row = (await street.open())["device.silent"]
    assert row.cleared_at is None
    assert await street.called() == 0
    await say(street, home.button, None)
    await street.live(MINUTE, step=MINUTE)
    assert (await street.open())["device.silent"].cleared_at is not None


@pytest.mark.parametrize("trouble", silence.CANNOT_BE_HEARD)
async def test_whatever_keeps_a_device_from_being_heard_is_a_task(street: Street, trouble: str) -> None:
    await say(street, street.home.cuff, f"{trouble}: and more")
    await street.live(4 * MINUTE, step=2 * MINUTE)
    assert (await street.open())["device.silent"].evidence["device"] == street.home.cuff


async def test_a_visit_that_failed_and_a_trouble_that_lets_it_be_heard_are_no_silence(street: Street) -> None:
    await say(street, street.home.cuff, "could not be collected: its pairing is lost")
    await say(street, street.home.button, "it says more than this gateway can read: update the gateway")
    await street.live(HOUR)
    assert "device.silent" not in await street.open()


async def test_what_could_not_be_heard_and_never_spoke_is_not_silent_for_that_afterwards(street: Street) -> None:
    await say(street, street.home.cuff, "this gateway does not know devices of the kind spoon")
    await street.live(4 * MINUTE, step=2 * MINUTE)
    await say(street, street.home.cuff, None)
    street.start_anew()
    await street.live(12 * DAY, step=12 * HOUR)
    assert (await street.open())["device.silent"].cleared_at is not None


async def test_behind_a_silent_gateway_what_cannot_be_heard_is_not_told_too(street: Street) -> None:
    street.down = True
    await street.live(HOUR)
    await say(street, street.home.button, "it has no key: enter the key from its maker's app")
    await street.live(3 * HOUR)
    assert "device.silent" not in await street.open()


async def test_a_device_heard_again_and_lost_again_is_one_task(street: Street) -> None:
    for _ in range(3):
        await say(street, street.home.cuff, "its pairing is lost: pair it again, as its manual says")
        await street.live(2 * MINUTE, step=MINUTE)
        assert (await street.open())["device.silent"].cleared_at is None
        await say(street, street.home.cuff, None)
        await street.live(MINUTE, step=MINUTE)
    async with street.database.service() as c:
        assert [row.rule for row in await alerts.of_resident(c, street.home.wang, 5)] == ["device.silent"]


async def test_a_band_that_was_always_heard_is_silent_soon_when_it_is_not(street: Street) -> None:
    home, now = street.home, street.clock.now
    spoke = np.zeros(rhythm.BYTES, np.uint8)
    rhythm.speak(spoke, 0, us([now - n * 20 * MINUTE for n in range(3 * 72)]))
    async with street.database.service() as c:
        await c.execute("UPDATE device SET last_seen_at = %s WHERE id = %s", [now, home.wearable])
        await c.execute(
            "INSERT INTO device_rhythm (device_id, spoke, newest) VALUES (%s, %s, %s)",
            [home.wearable, spoke.tobytes(), now],
        )
    street.start_anew()
    await street.live(30 * MINUTE, step=10 * MINUTE)
    assert await street.open() == {}
    await street.live(HOUR, step=10 * MINUTE)
    assert (await street.open())["device.silent"].evidence["device"] == home.wearable


async def test_another_process_takes_up_where_the_first_stopped_and_tells_nothing_twice(street: Street) -> None:
    await learned(street)
    await street.live(2.5 * DAY, step=4 * HOUR)
    before = await street.open()
    street.start_anew()
    await street.listen()
    await street.measure()
    await street.live(2 * MINUTE, step=2 * MINUTE)
    after = await street.open()
    assert (await street.open())["device.silent"].cleared_at is not None
    assert {r.id for r in before.values()} == {r.id for r in after.values()}


async def test_only_one_process_listens_at_a_time(street: Street) -> None:
    async with street.database.service() as c:
        assert await store.silence.lock(c)
        street.start_anew()
        assert await street.ear.round() is False
        assert street.ear._state is None


async def test_the_alerts_of_who_left_end_and_nobody_is_called_about_them(street: Street) -> None:
    street.down = True
    await street.live(5 * HOUR)
    assert await street.called() == 1
    async with street.database.service() as c:
        await c.execute("UPDATE resident SET left_at = %s WHERE id = %s", [street.clock.now, street.home.wang])
    street.clock.go_on(hours=2)
    await Dispatcher(street.database, {}, clock=street.clock).climb()
    assert await street.open() == {}
    async with street.database.service() as c:
        [ended, *_] = await alerts.of_resident(c, street.home.wang, 5)
        assert (ended.state, ended.outcome, ended.climb_at) == ("resolved", "left", None)
        assert {m.state for m in await messages.of_alert(c, ended.id)} <= {"cancelled"}
    assert (await street.open(street.home.zhao)) != {}


async def test_what_is_told_enters_the_feed_and_no_resident_s_record(street: Street) -> None:
    street.down = True
    await street.live(2 * HOUR)
    async with street.database.service() as c:
        assert await value(c, "SELECT count(*) FROM reading") == 0
        batch_ = await feed.next_batch(c, feed.Position(), 1000)
    assert batch_ is not None
    assert set(batch_.device_id.tolist()) == {-street.home.gateway}


async def test_a_task_that_was_put_aside_waits_again_when_its_time_is_over_and_calls_nobody(street: Street) -> None:
    street.down = True
    await street.live(2 * HOUR)
    task = (await street.open())["gateway.silent"]
    async with street.database.service() as c:
        until = street.clock.now + HOUR
        await actions.shelve(c, task.id, street.home.li_na.id, street.clock.now, until)
    dispatcher = Dispatcher(street.database, {}, clock=street.clock)
    await dispatcher.climb()
    assert (await street.open())["gateway.silent"].state == "shelved"
    street.clock.go_on(hours=1, seconds=1)
    await dispatcher.climb()
    task = (await street.open())["gateway.silent"]
    assert (task.state, task.climb_at, task.shelved_until) == ("raised", None, None)
    assert await street.called() == 0


async def event(street: Street, metric: str) -> None:
    async with street.database.service() as c:
        item = (street.home.wang, street.home.wearable, metric, 1.0, street.clock.now)
        await readings.insert(c, batch(street.home, item, received_at=street.clock.now))
    await street.listen()


async def test_who_has_not_moved_is_asked_first_and_then_somebody_is_called(street: Street) -> None:
    await event(street, "inactivity")
    async with street.database.service() as c:
        [asked] = await alerts.open_prompts(c, street.home.wang, street.clock.now)
    assert (asked.kind, asked.rule) == ("are_you_well", "inactivity.morning")
    assert await street.open() == {}
    await street.live(16 * MINUTE, step=8 * MINUTE)
    assert (await street.open())["inactivity.morning"].priority == "medium"
    assert await street.called() == 1


@pytest.mark.parametrize("sign", ["fall_recovered", "activity_resumed"])
async def test_who_moves_or_says_that_she_is_well_in_time_is_let_be(street: Street, sign: str) -> None:
    await event(street, "inactivity")
    await street.live(8 * MINUTE, step=8 * MINUTE)
    await event(street, sign)
    await street.live(16 * MINUTE, step=8 * MINUTE)
    assert await street.open() == {}
