"""Nobody has moved all morning: told once, and only when it is known that somebody is in and that it would have been seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.homes import Homes
from devices.outbox import Outbox
from devices.presence import Presence
from devices.readings import METRICS, Quality, Reading

SHANGHAI = ZoneInfo("Asia/Shanghai")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
QUARTER = 15 * MINUTE
HALL, ROOM, DOOR, BED, BUTTON = "C0:00:00:00:00:01", "C0:00:00:00:00:02", "C0:00:00:00:00:03", "C0:00:00:00:00:04", "B"
METRIC = {HALL: "movement", ROOM: "movement", DOOR: "door", BED: "bed", BUTTON: "help_call"}


@dataclass
class Flat:
    """A flat and its clock: sensors repeat their state every quarter of an hour, and say what happens."""

    sensors: tuple[str, ...] = (HALL, DOOR)
    zone: ZoneInfo = SHANGHAI
    presence: Presence = field(default_factory=Presence)
    now: datetime = field(init=False)
    told: list[Reading] = field(default_factory=list)
    states: dict[str, float] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    off: bool = False
    """Whether the gateway is switched off."""

    def __post_init__(self) -> None:
        self.now = self.at(date(2026, 11, 24), 0)
        self.states = dict.fromkeys(self.sensors, 0.0)

    def at(self, day: date, hour: float) -> datetime:
        local = datetime.combine(day, time(), self.zone) + hour * HOUR
        return local.astimezone(ZoneInfo("UTC"))

    def until(self, hour: float, day: date | None = None) -> None:
        """Let time pass until this hour of the day, or of today."""
        self.pass_time(self.at(day or self.now.astimezone(self.zone).date(), hour) - self.now)

    def pass_time(self, length: timedelta) -> None:
        end = self.now + length
        while self.now < end:
            if not self.off:
                for sensor in set(self.sensors) - self.dead:
                    self.say(sensor, self.states[sensor])
                if event := self.presence.judge(self.now, self.zone):
                    self.told.append(event)
            self.now = min(self.now + QUARTER, end)

    def say(self, device: str, value: float, quality: Quality = Quality.NONE) -> None:
        self.states[device] = value
        if not self.off and device not in self.dead:
            self.now += timedelta(microseconds=1)
            self.presence.see(Reading(device, METRIC[device], value, self.now, self.now, quality), self.zone)

    def move(self, sensor: str = HALL) -> None:
        self.say(sensor, 1.0)
        self.say(sensor, 0.0)

    def go_through_door(self) -> None:
        self.say(DOOR, 1.0)
        self.say(DOOR, 0.0)

    def restart(self) -> None:
        self.presence = Presence(self.presence.memory())

    @property
    def times(self) -> list[str]:
        return [f"{event.measured_at.astimezone(self.zone):%d %H:%M}" for event in self.told]


@pytest.fixture
def flat() -> Flat:
    it = Flat()
    it.until(22)
    it.move()
    it.until(24)
    return it


def test_nobody_who_has_not_moved_since_the_evening_is_missed_at_eleven(flat: Flat) -> None:
    flat.until(23)
    assert flat.times == ["25 11:00"]
    [event] = flat.told
    assert (event.metric, event.value, event.device) == ("inactivity", 1.0, HALL)
    assert event.detail == {"hours": 13.0, "last_sign": float(METRICS["movement"].code), "in_bed": 0.0}


def test_it_is_told_once_a_day_also_after_restarts_and_again_the_next_day(flat: Flat) -> None:
    for hour in (11, 11.5, 12, 13, 20, 36, 60):
        flat.until(hour, date(2026, 11, 25))
        flat.restart()
    assert flat.times == ["25 11:00", "26 11:00", "27 11:00"]


@pytest.mark.parametrize("sensor", [HALL, BUTTON, BED])
def test_any_sign_of_life_in_the_morning_is_enough(sensor: str) -> None:
    flat = Flat((HALL, DOOR, BED))
    flat.until(22)
    flat.move()
    flat.until(31)
    flat.say(sensor, 1.0)
    flat.states.pop(BUTTON, None)
    flat.say(BED, 0.0)
    flat.until(36, date(2026, 11, 24))
    assert flat.told == []


def test_who_fell_silent_after_rising_is_missed_five_hours_later(flat: Flat) -> None:
    flat.until(8)
    flat.move()
    flat.until(23)
    assert flat.times == ["25 13:00"]


def test_an_afternoon_s_rest_is_nobody_s_concern(flat: Flat) -> None:
    flat.until(9.5)
    flat.move()
    flat.until(23)
    assert flat.told == []


def test_who_went_out_is_not_missed(flat: Flat) -> None:
    flat.until(5)
    flat.move()
    flat.go_through_door()
    flat.say(HALL, 1.0)  # the hall is still moving as the door falls shut
    flat.say(HALL, 0.0)
    flat.until(47, date(2026, 11, 24))
    assert flat.told == []


def test_who_came_home_and_was_seen_inside_is_missed_again(flat: Flat) -> None:
    flat.until(4.5)
    flat.go_through_door()
    flat.until(5)
    flat.go_through_door()
    flat.until(5.25)
    flat.move()
    flat.until(23)
    assert flat.times == ["25 11:00"]


def test_without_a_sensor_on_the_door_nobody_knows_who_is_out() -> None:
    flat = Flat((HALL, ROOM))
    flat.until(22)
    flat.move()
    flat.until(47, date(2026, 11, 24))
    assert flat.told == []


def test_an_occupied_bed_says_that_somebody_is_in() -> None:
    flat = Flat((BED,))
    flat.until(22)
    flat.say(BED, 1.0)
    flat.until(47, date(2026, 11, 24))
    assert flat.times == ["25 11:00"]
    assert (flat.told[0].device, flat.told[0].detail["in_bed"]) == (BED, 1.0)


def test_a_bed_left_in_the_morning_is_a_sign_of_life_and_an_empty_one_says_nothing() -> None:
    flat = Flat((BED,))
    flat.until(22)
    flat.say(BED, 1.0)
    flat.until(30)
    flat.say(BED, 0.0)
    flat.until(47, date(2026, 11, 24))
    assert flat.told == []


@pytest.mark.parametrize("sensor", [HALL, ROOM, DOOR])
def test_a_dead_sensor_is_not_a_still_person(sensor: str) -> None:
    flat = Flat((HALL, ROOM, DOOR))
    flat.until(22)
    flat.move()
    flat.until(32)
    flat.dead.add(sensor)
    flat.until(47, date(2026, 11, 24))
    assert flat.told == []


def test_a_dead_sensor_that_was_removed_is_missed_no_more() -> None:
    flat = Flat((HALL, ROOM, DOOR))
    flat.until(20)
    flat.dead.add(ROOM)
    flat.until(22)
    flat.move()
    flat.presence.only([HALL, DOOR])
    flat.until(47, date(2026, 11, 24))
    assert flat.times == ["25 11:00"]


@pytest.mark.parametrize("hours", [(1, 4), (7, 9), (10, 10.9)])
def test_a_gateway_that_was_off_meanwhile_has_proved_nothing(flat: Flat, hours: tuple[float, float]) -> None:
    flat.until(hours[0])
    flat.off = True
    flat.until(hours[1] + 0.5)
    flat.off = False
    flat.restart()
    flat.until(23)
    assert flat.told == []


def test_an_hour_without_the_gateway_hides_nothing(flat: Flat) -> None:
    flat.until(6)
    flat.off = True
    flat.until(6.75)
    flat.off = False
    flat.until(23)
    assert flat.times == ["25 11:00"]


def test_a_door_that_moved_while_the_gateway_was_off_may_have_let_her_out(flat: Flat) -> None:
    flat.until(1)
    flat.off = True
    flat.say(DOOR, 1.0)
    flat.until(3)
    flat.off = False
    flat.until(23)
    assert flat.told == []


@pytest.mark.parametrize(("rises", "missed"), [(6, "09:00"), (7.5, "10:30"), (10, "12:00")])
def test_whoever_rises_early_or_late_is_missed_accordingly(rises: float, missed: str) -> None:
    flat = Flat()
    for n in range(14):
        day = date(2026, 11, 10) + n * DAY
        if n == 0:
            flat.now = flat.at(day, 0)
        for hour in (rises, rises + 4, rises + 8, 22):
            flat.until(hour, day)
            flat.move()
    flat.until(47, date(2026, 11, 23))
    assert flat.times == [f"24 {missed}"]


def test_a_reading_whose_clock_is_doubted_is_no_sign_of_life(flat: Flat) -> None:
    flat.until(8)
    flat.say(HALL, 1.0, Quality.CLOCK_SUSPECT)
    flat.states[HALL] = 0.0
    flat.until(23)
    assert flat.times == ["25 11:00"]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("America/Sao_Paulo", date(2018, 11, 4)),
    ],
)
def test_on_the_days_the_clocks_change_it_is_told_once_at_the_hour_on_the_wall(zone: str, day: date) -> None:
    flat = Flat(zone=ZoneInfo(zone))
    flat.now = flat.at(day - DAY, 20)
    flat.until(21)
    flat.move()
    flat.until(45, day)
    assert [event.measured_at.astimezone(flat.zone).strftime("%d %H:%M") for event in flat.told] == [
        f"{day:%d} 11:00",
        f"{day + DAY:%d} 11:00",
    ]


happenings = st.lists(
    st.tuples(
        st.sampled_from([HALL, ROOM, DOOR, BED]), st.sampled_from([0.0, 1.0]), st.integers(1, 240), st.booleans()
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(what=happenings, heard=st.integers(61, 600))
def test_whatever_happened_nothing_is_told_once_the_sensors_are_dead(
    what: list[tuple[str, float, int, bool]], heard: int
) -> None:
    flat = Flat((HALL, ROOM, DOOR, BED))
    for sensor, value, minutes, restart in what:
        flat.say(sensor, value)
        flat.now += minutes * MINUTE
        if restart:
            flat.restart()
    flat.now += heard * MINUTE
    for _ in range(200):
        assert flat.presence.judge(flat.now, flat.zone) is None
        flat.now += QUARTER


@settings(max_examples=40)
@given(what=happenings)
def test_whatever_happens_it_is_told_once_a_day_at_most_and_never_soon_after_a_sign(
    what: list[tuple[str, float, int, bool]],
) -> None:
    flat = Flat((HALL, ROOM, DOOR, BED))
    signs: list[datetime] = []
    for sensor, value, minutes, restart in what:
        if METRIC[sensor] == "movement" and value:
            signs.append(flat.now)
        flat.say(sensor, value)
        flat.states[HALL] = flat.states[ROOM] = 0.0
        flat.pass_time(minutes * MINUTE)
        if restart:
            flat.restart()
    flat.until(24)
    days = [event.measured_at.astimezone(SHANGHAI).date() for event in flat.told]
    assert len(set(days)) == len(days)
    for event in flat.told:
        assert all(not event.measured_at - 5 * HOUR < sign < event.measured_at for sign in signs)


def test_what_cannot_be_read_is_begun_anew() -> None:
    assert Presence("{").judge(datetime(2026, 11, 24, 4, tzinfo=ZoneInfo("UTC")), SHANGHAI) is None


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox") as it:
        yield it


class Gateway:
    """The homes of a stairway over one disk."""

    def __init__(self, outbox: Outbox, now: datetime) -> None:
        self.outbox, self.now = outbox, now
        self.start()

    def start(self) -> None:
        self.desk = Desk(self.outbox, zone=SHANGHAI, now=lambda: self.now)
        self.homes = Homes(self.desk)
        self.homes.set_devices({HALL: "1", DOOR: "1", ROOM: "2", BED: "2"})

    def night(self, hours: float, *, in_bed: float) -> None:
        for _ in range(int(hours * 4)):
            for device, value in ((HALL, 0.0), (DOOR, 0.0), (ROOM, 0.0), (BED, in_bed)):
                self.desk.keep([Reading(device, METRIC[device], value, self.now, self.now)])
            self.homes.judge()
            self.now += QUARTER

    def told(self) -> list[str]:
        return [r.device for _, r in self.outbox.batch(10_000) if r.metric == "inactivity"]

    def resumed(self) -> list[str]:
        return [r.device for _, r in self.outbox.batch(10_000) if r.metric == "activity_resumed"]


def test_the_homes_of_a_stairway_are_kept_apart_and_nothing_is_forgotten_by_a_restart(outbox: Outbox) -> None:
    gateway = Gateway(outbox, datetime(2026, 11, 24, 13, tzinfo=ZoneInfo("UTC")))
    gateway.night(0.5, in_bed=0.0)
    for device in (HALL, BED):
        gateway.now += MINUTE
        gateway.desk.keep([Reading(device, METRIC[device], 1.0, gateway.now, gateway.now)])
    gateway.now += MINUTE
    gateway.night(13.25, in_bed=1.0)
    gateway.start()
    gateway.desk.keep([Reading(ROOM, "movement", 1.0, gateway.now, gateway.now)])  # the second home wakes
    gateway.now += MINUTE
    gateway.night(1, in_bed=1.0)
    assert gateway.told() == [HALL]
    gateway.start()
    gateway.homes.judge()
    assert gateway.told() == [HALL]


def test_who_moves_again_after_being_missed_takes_it_back_once(outbox: Outbox) -> None:
    gateway = Gateway(outbox, datetime(2026, 11, 24, 13, tzinfo=ZoneInfo("UTC")))
    gateway.night(0.5, in_bed=0.0)
    gateway.desk.keep([Reading(HALL, "movement", 1.0, gateway.now, gateway.now)])
    gateway.now += MINUTE
    gateway.night(14, in_bed=0.0)
    assert gateway.told() == [HALL]
    assert gateway.resumed() == []
    gateway.start()
    gateway.desk.keep([Reading(DOOR, "door", 1.0, gateway.now, gateway.now)])
    gateway.now += MINUTE
    gateway.night(0.5, in_bed=0.0)
    assert gateway.resumed() == [DOOR]


def test_a_device_of_no_home_changes_nothing(outbox: Outbox) -> None:
    gateway = Gateway(outbox, datetime(2026, 11, 24, 13, tzinfo=ZoneInfo("UTC")))
    gateway.homes.set_devices({})
    gateway.night(1, in_bed=1.0)
    assert gateway.told() == []
