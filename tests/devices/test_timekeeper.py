"""What becomes of readings on a machine that does not know what time it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.batches import Columns
from api.plausibility import judge_clocks
from devices.desk import Desk
from devices.outbox import Outbox, OutboxFull
from devices.readings import Quality, Reading
from devices.timekeeper import NOT_KNOWN, Sources, Timekeeper

CUFF, BUTTON, DOOR = "C0:00:00:00:00:01", "C0:00:00:00:00:02", "C0:00:00:00:00:04"
TRUE = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)  # when the machine was switched on
LOST = timedelta(hours=7)  # how long it had no power: its clock goes on from where it stood


@dataclass
class World:
    """A machine's clocks, as they really are."""

    folder: Path
    up: float = 5.0
    wall_behind: timedelta = LOST
    synchronised: bool | None = False
    boot: str = "first"
    undated_bytes: int | None = None
    shifts: list[timedelta] = field(default_factory=list)
    open: list[Outbox] = field(default_factory=list)

    def start(self) -> Timekeeper:
        """Start the gateway's process."""
        for outbox in self.open:
            outbox.close()
        self.outbox = Outbox(self.folder / "outbox.db")
        self.undated = Outbox(self.folder / "undated.db", max_bytes=self.undated_bytes)
        self.open = [self.outbox, self.undated]
        sources = Sources(
            wall=lambda: TRUE + timedelta(seconds=self.up) - self.wall_behind,
            since_boot=lambda: self.up,
            synchronised=lambda: self.synchronised,
            boot=lambda: self.boot,
        )
        self.time = Timekeeper(self.outbox, self.undated, sources=sources, shifted=self.shifts.append)
        self.desk = Desk(self.outbox, timekeeper=self.time)
        return self.time

    def now(self) -> datetime:
        return TRUE + timedelta(seconds=self.up)

    def sent(self) -> list[Reading]:
        return [r for _, r in self.outbox.batch(100)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    it = World(tmp_path)
    it.start()
    yield it
    for outbox in it.open:
        outbox.close()


def heard(world: World, metric: str = "door", device: str = DOOR) -> None:
    at = world.desk.now()
    world.desk.keep([Reading(device, metric, 1.0, at, at, Quality.NO_DEVICE_TIME)])


def fill(world: World) -> None:
    for _ in range(10_000):
        world.up += 1
        heard(world)


def from_a_cuff(world: World, measured_at: datetime, quality: Quality = Quality.NONE) -> list[Reading]:
    return [Reading(CUFF, "systolic", 150.0, measured_at, world.desk.now(), quality)]


def test_a_machine_set_by_a_time_server_knows_the_time(world: World) -> None:
    world.synchronised, world.wall_behind, world.boot = True, timedelta(), "another"
    time = world.start()
    assert (time.known, time.now(), time.trouble) == (True, world.now(), None)
    heard(world)
    assert [r.measured_at for r in world.sent()] == [world.now()]


def test_without_the_time_a_reading_waits_and_is_sent_with_the_right_one_when_the_service_tells_it(
    world: World,
) -> None:
    heard(world)
    assert (world.sent(), world.time.waiting(), world.time.known) == ([], 1, False)
    assert "does not know the time" in str(world.time.trouble)
    world.up += 3600
    world.time.told(world.now(), 0.0)
    [reading] = world.sent()
    assert reading.measured_at == reading.collected_at == TRUE + timedelta(seconds=5)
    assert reading.quality == Quality.NO_DEVICE_TIME
    assert (world.time.now(), world.time.waiting(), world.shifts) == (world.now(), 0, [LOST])


def test_a_time_server_that_is_reached_at_last_tells_it_as_well(world: World) -> None:
    heard(world)
    world.up += 60
    world.synchronised, world.wall_behind = True, timedelta()
    world.time.look()
    assert [r.measured_at for r in world.sent()] == [TRUE + timedelta(seconds=5)]


def test_a_wall_clock_that_jumps_meanwhile_moves_nothing(world: World) -> None:
    heard(world)
    world.wall_behind = timedelta(days=400)
    world.up += 10
    heard(world)
    world.time.told(world.now(), 0.0)
    first, second = world.sent()
    assert second.measured_at - first.measured_at == timedelta(seconds=10)


def test_what_a_device_s_own_clock_said_stays_and_is_judged_by_the_right_time(world: World) -> None:
    just_now, of_old, never = world.now(), TRUE - timedelta(hours=2), datetime(2000, 1, 1, tzinfo=UTC)
    for at in (just_now, of_old, never):
        # To a clock seven hours behind, each of them looks wrong.
        world.desk.keep(from_a_cuff(world, at, Quality.CLOCK_SUSPECT), held_s=30)
    assert not world.desk.knows_time
    world.time.told(world.now(), 0.0)
    assert [(r.measured_at, r.quality) for r in world.sent()] == [
        (just_now, Quality.NONE),
        (of_old, Quality.FROM_MEMORY),
        (never, Quality.CLOCK_SUSPECT),
    ]
    assert {r.collected_at for r in world.sent()} == {world.now()}


def test_a_driver_that_lets_its_held_readings_go_does_not_undo_that(world: World) -> None:
    kept = from_a_cuff(world, world.now())
    world.desk.keep(kept, held_s=30)
    world.time.told(world.now(), 0.0)
    world.desk.release(
        [Reading(r.device, r.metric, r.value, r.measured_at, r.collected_at, Quality.CLOCK_SUSPECT) for r in kept]
    )
    assert [r.quality for r in world.sent()] == [Quality.NONE]


def test_an_emergency_goes_at_once_and_the_service_dates_it_by_its_own_clock(world: World) -> None:
    heard(world, "help_call", BUTTON)
    heard(world)
    [call] = world.sent()
    assert call.metric == "help_call"
    assert at_the_service(call, received_at=world.now()) == (
        world.now(),
        Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET,
    )


def test_what_was_learned_with_a_reading_is_kept_with_it_whatever_the_time(world: World) -> None:
    at = world.desk.now()
    for metric, counter in (("help_call", "7"), ("door", "8")):
        world.desk.keep([Reading(DOOR, metric, 1.0, at, at, Quality.NO_DEVICE_TIME)], facts={"counter": counter})
        assert world.desk.recall("counter") == counter


def test_a_full_disk_refuses_what_can_wait_and_still_takes_an_emergency(world: World) -> None:
    world.undated_bytes = 100 * 1024
    world.start()
    with pytest.raises(OutboxFull):
        fill(world)
    at = world.desk.now()
    with pytest.raises(OutboxFull):
        world.desk.keep([Reading(DOOR, m, 1.0, at, at, Quality.NO_DEVICE_TIME) for m in ("battery", "help_call")])
    assert [r.metric for r in world.sent()] == ["help_call"]


def test_an_emergency_that_waited_for_the_network_is_dated_to_when_it_was_and_keeps_its_key(world: World) -> None:
    heard(world, "help_call", BUTTON)
    world.up += 2 * 3600
    [waiting] = world.sent()
    world.time.told(world.now(), 0.0)
    call = world.time.dated(waiting)
    assert call.key == waiting.key
    assert at_the_service(call, received_at=world.now())[0] == TRUE + timedelta(seconds=5)


def test_an_emergency_of_an_earlier_run_is_dated_by_the_service(world: World) -> None:
    heard(world, "help_call", BUTTON)
    world.boot, world.up = "second", 5.0
    world.wall_behind = LOST - timedelta(hours=1)
    world.start()
    world.time.told(world.now(), 0.0)
    [call] = world.sent()
    assert world.time.dated(call).collected_at == NOT_KNOWN


def test_killed_before_it_knew_it_goes_on_where_it_was(world: World) -> None:
    heard(world)
    world.up += 60
    world.start()
    heard(world)
    assert world.time.waiting() == 2
    world.time.told(world.now(), 0.0)
    assert [r.measured_at for r in world.sent()] == [TRUE + timedelta(seconds=5), TRUE + timedelta(seconds=65)]


def test_started_anew_in_the_same_run_it_still_knows(world: World) -> None:
    world.time.told(world.now(), 0.0)
    world.up += 60
    time = world.start()
    assert (time.known, time.now()) == (True, world.now())


def test_killed_while_it_hands_over_it_doubles_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    heard(world)

    def killed(*_args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as power_cut:
        power_cut.setattr(world.undated, "done", killed)
        with pytest.raises(KeyboardInterrupt):
            world.time.told(world.now(), 0.0)
    world.up += 1.5
    world.start()
    world.time.told(world.now() + timedelta(seconds=1), 0.0)
    assert [r.measured_at for r in world.sent()] == [TRUE + timedelta(seconds=5)]


def test_what_the_power_failed_upon_before_the_time_was_known_is_sent_as_of_unknown_time(world: World) -> None:
    heard(world)
    world.boot, world.up = "second", 3.0
    world.start()
    [reading] = world.sent()
    assert reading.quality == Quality.NO_DEVICE_TIME | Quality.CLOCK_SUSPECT
    assert at_the_service(reading, received_at=world.now())[0] is None


def test_the_answer_s_way_is_allowed_for_and_a_slow_one_not_believed(world: World) -> None:
    world.time.told(world.now(), 60.0)
    assert not world.time.known
    world.time.told(world.now() - timedelta(seconds=2), 4.0)
    assert world.time.now() == world.now()


def test_a_machine_kept_right_believes_itself_and_says_that_the_service_differs(world: World) -> None:
    world.synchronised, world.wall_behind, world.boot = True, timedelta(), "another"
    world.start()
    world.time.told(world.now() - timedelta(minutes=10), 0.0)
    assert world.time.now() == world.now()
    assert world.time.trouble == "the gateway's clock is 600 s ahead of the service's: one of them is wrong"


def test_what_was_noted_of_the_devices_is_corrected_too(world: World) -> None:
    heard(world)
    health = world.desk.of(DOOR)
    health.last_seen_at = world.desk.now()
    world.time.shifted = world.desk.shift
    world.time.told(world.now(), 0.0)
    assert (health.last_seen_at, health.last_reading_at) == (world.now(), world.now())


def at_the_service(reading: Reading, received_at: datetime) -> tuple[datetime | None, Quality]:
    """When the reading counts as happening at the service (``happened_at`` in the first migration)."""
    measured_at, collected_at = (
        np.array([m.replace(tzinfo=None)], "datetime64[us]") for m in (reading.measured_at, reading.collected_at)
    )
    others = {column.name: np.zeros(1, np.int32) for column in fields(Columns)}
    quality = np.array([int(reading.quality)], np.int32)
    columns = Columns(**{**others, "measured_at": measured_at, "collected_at": collected_at, "quality": quality})
    judge_clocks(columns, received_at)
    judged = Quality(int(columns.quality[0])) & ~Quality.NO_DEVICE_TIME
    at = columns.collected_at if judged & Quality.CLOCK_SUSPECT else columns.measured_at
    believed = not judged & Quality.CLOCK_SUSPECT or judged & Quality.CLOCK_JUST_SET
    return (at[0].astype(datetime).replace(tzinfo=UTC) if believed else None), judged
