"""What each driver makes of its device's bytes and times, without a radio."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from devices.desk import Desk
from devices.drivers import kinds
from devices.drivers.driver import Configured
from devices.drivers.wearable import SampleClock, Wearable
from devices.gatt import motion
from devices.outbox import Outbox
from devices.virtual.body import Body

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Outbox(tmp_path / "outbox"), zone=ZoneInfo("Asia/Shanghai"))


def test_every_kind_the_service_configures_has_a_driver() -> None:
    assert set(kinds()) >= {"blood_pressure", "wearable", "help_button"}


def test_the_promptest_packet_tells_when_samples_were_taken() -> None:
    clock = SampleClock()
    for n, late_ms in enumerate((300, 20, 900, 150)):
        clock.arrived(500.0 * n, NOW + timedelta(milliseconds=500 * n + late_ms))
    assert abs(clock.time(1000) - (NOW + timedelta(milliseconds=1020))) < timedelta(milliseconds=5)


def stream(body: Body, packets: int, *, sequence: int = 0, at_ms: int = 0) -> list[bytes]:
    return [motion.encode(motion.Motion(sequence + n, at_ms + 500 * n, body.take(25))) for n in range(packets)]


def fallen(desk: Desk, packets: list[bytes]) -> list[str]:
    wearable = Wearable(Configured("C0:FF:EE:00:00:02", "wearable"), desk)
    for packet in packets:
        wearable.moved(packet)
    return [r.metric for _, r in desk._outbox.batch(100)]


def test_a_fall_is_told_once_and_getting_up_after_it(desk: Desk) -> None:
    body = Body(7)
    packets = stream(body, 20)
    body.fall()
    packets += stream(body, 24, sequence=20, at_ms=10_000)
    body.get_up()
    packets += stream(body, 40, sequence=44, at_ms=22_000)
    assert fallen(desk, packets) == ["fall", "fall_recovered"]


@pytest.mark.parametrize("gap", ["sequence", "time"])
def test_a_fall_is_not_pieced_together_over_a_gap(desk: Desk, gap: str) -> None:
    """The blow before the gap, the stillness after it: that they belong together nobody knows."""
    body = Body(7)
    packets = stream(body, 20)
    body.fall()
    packets += stream(body, 4, sequence=20, at_ms=10_000)
    skipped = {"sequence": (30, 12_000), "time": (24, 19_000)}[gap]
    packets += stream(body, 30, sequence=skipped[0], at_ms=skipped[1])
    assert fallen(desk, packets) == []


def test_acceleration_that_is_none_is_refused(desk: Desk) -> None:
    assert fallen(desk, [bytes(9)]) == []
    assert [r.reason for r in desk._outbox.refused(9)] == ["bad_length"]


def test_a_doubled_press_of_i_am_fine_is_one(desk: Desk) -> None:
    wearable = Wearable(Configured("C0:FF:EE:00:00:02", "wearable"), desk)
    for raw in (b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x02"):
        wearable.pressed(raw)
    assert [r.metric for _, r in desk._outbox.batch(9)] == ["fall_recovered", "fall_recovered"]
    assert len(desk._outbox.refused(9)) == 1


def test_samples_are_in_g() -> None:
    still = np.tile([0.0, 0.0, 1.0], (25, 1))
    assert np.allclose(motion.decode(motion.encode(motion.Motion(0, 0, still))).samples, still)
