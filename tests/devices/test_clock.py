"""How far a time that an instrument gave is believed, and when it was in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from devices.desk import Desk
from devices.drivers.clock import Clock
from devices.outbox import Outbox
from devices.readings import Quality

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("ahead", "age", "quality"),
    [
        (timedelta(), MINUTE, Quality.NONE),
        (timedelta(), 60 * MINUTE, Quality.FROM_MEMORY),
        (4 * MINUTE, MINUTE, Quality.NONE),
        (6 * MINUTE, MINUTE, Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET),
        (-180 * MINUTE, MINUTE, Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET),
        (timedelta(days=2), 60 * MINUTE, Quality.CLOCK_SUSPECT | Quality.FROM_MEMORY),
    ],
)
def test_a_time_is_believed_as_far_as_the_clock_it_came_from(
    ahead: timedelta, age: timedelta, quality: Quality
) -> None:
    assert Clock(ahead).quality(NOW - age + ahead, NOW) == quality


@pytest.mark.parametrize(
    ("measured_at", "quality"),
    [
        (NOW - MINUTE, Quality.NONE),
        (NOW - 60 * MINUTE, Quality.FROM_MEMORY),
        (NOW + 6 * MINUTE, Quality.CLOCK_SUSPECT),
        (datetime(2000, 1, 1, tzinfo=UTC), Quality.CLOCK_SUSPECT),
        (datetime(2014, 12, 31, tzinfo=UTC), Quality.CLOCK_SUSPECT),
    ],
)
def test_without_a_clock_to_read_only_an_impossible_time_is_suspect(measured_at: datetime, quality: Quality) -> None:
    assert Clock().quality(measured_at, NOW) == quality


def test_a_cuffs_time_is_the_homes_own(tmp_path: Path) -> None:
    desk = Desk(Outbox(tmp_path / "outbox"), zone=ZoneInfo("Asia/Shanghai"))
    assert desk.utc(datetime(2026, 11, 24, 18, 0)) == NOW  # noqa: DTZ001
    assert desk.utc(datetime(9999, 12, 31, 23, 59, 59)).year == 9999  # noqa: DTZ001
    assert desk.utc(datetime(1582, 1, 1)).tzinfo is UTC  # noqa: DTZ001
