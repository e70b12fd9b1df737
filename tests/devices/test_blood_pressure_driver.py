"""What a cuff's driver makes of its bytes and of the cuff's habits."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.drivers.blood_pressure import Cuff
from devices.drivers.clock import Clock
from devices.drivers.driver import Configured
from devices.gatt.blood_pressure import MEASUREMENT, BloodPressure, encode
from devices.outbox import Outbox

ADDRESS = "C0:FF:EE:00:00:01"
TEN = datetime(2026, 11, 24, 10, 0)  # noqa: DTZ001  a cuff's time has no zone


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Outbox(tmp_path / "outbox"))


def cuff(desk: Desk) -> Cuff:
    """A cuff whose clock is known to be right: nothing is held back."""
    found = Cuff(Configured(ADDRESS, "blood_pressure"), desk)
    found.settle(Clock(timedelta()))
    return found


def systolic(desk: Desk) -> list[tuple[float, int | None]]:
    return [(r.value, r.user) for _, r in desk._outbox.batch(100) if r.metric == "systolic"]


@settings(max_examples=40)
@given(raw=st.binary(max_size=40))
def test_no_bytes_a_cuff_may_send_do_more_than_be_kept_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    with Outbox(tmp_path_factory.mktemp("cuff") / "outbox") as outbox:
        cuff(Desk(outbox)).take(MEASUREMENT, raw)
        assert outbox.depth() > 0 or [r.raw for r in outbox.refused(2)] == [raw]


def test_a_record_that_was_delivered_is_not_taken_again_even_by_a_new_gateway_process(desk: Desk) -> None:
    raw = encode(BloodPressure(120, 80, timestamp=TEN))
    cuff(desk).take(MEASUREMENT, raw)
    desk._outbox.done([number for number, _ in desk._outbox.batch(100)])
    cuff(desk).take(MEASUREMENT, raw)
    assert systolic(desk) == []


def test_an_older_record_that_was_never_seen_is_taken_after_a_newer_one(desk: Desk) -> None:
    """A cuff with a new battery counts its days from the beginning again."""
    one = cuff(desk)
    one.take(MEASUREMENT, encode(BloodPressure(120, 80, timestamp=TEN)))
    one.take(MEASUREMENT, encode(BloodPressure(121, 80, timestamp=TEN.replace(year=2000))))
    assert systolic(desk) == [(120, None), (121, None)]


def test_a_packet_that_cannot_be_read_is_refused_once_however_often_it_comes(desk: Desk) -> None:
    for _ in range(3):
        cuff(desk).take(MEASUREMENT, b"\x00\x01")
    assert [r.reason for r in desk._outbox.refused(9)] == ["truncated"]


def test_two_users_of_one_cuff_are_kept_apart(desk: Desk) -> None:
    """The same values at the same time, and without a time alternately and each doubled."""
    one = cuff(desk)
    for user in (1, 2):
        one.take(MEASUREMENT, encode(BloodPressure(120, 80, timestamp=TEN, user=user)))
    for user in (1, 2, 1, 2):
        one.take(MEASUREMENT, encode(BloodPressure(130, 80, user=user)))
    assert systolic(desk) == [(120, 1), (120, 2), (130, 1), (130, 2)]
