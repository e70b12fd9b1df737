"""What a cuff's driver makes of its bytes and of the cuff's habits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.drivers.blood_pressure import Cuff
from devices.drivers.clock import Clock
from devices.drivers.driver import Configured
from devices.gatt.blood_pressure import (
    ENHANCED_MEASUREMENT,
    MEASUREMENT,
    BloodPressure,
    encode,
    encode_enhanced,
)
from devices.gatt.blood_pressure_record import Record, encode_segment, split
from devices.gatt.record_access import OpCode, Operator
from devices.outbox import Outbox
from devices.virtual.twin import Plate
from devices.virtual.twins.cuff import Measurement
from devices.virtual.twins.record_cuff import RecordCuff
from tests.devices.home import CUFF, QUICK, Home, home, until

pytestmark = pytest.mark.anyio

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


@settings(max_examples=40, deadline=None)
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


def test_a_memory_told_whole_each_time_gives_a_record_without_a_time_once(desk: Desk) -> None:
    """Or an old pressure would be a new one at every visit. Two alike that were taken apart are two."""
    high, other = encode(BloodPressure(190, 110)), encode(BloodPressure(120, 80))
    for _ in range(2):
        found = Cuff(Configured(ADDRESS, "blood_pressure", habits={"keeps": True}), desk)
        found.settle(Clock(timedelta()))
        for raw in (high, high, other, high):  # the second is the first, doubled
            found.take(MEASUREMENT, raw)
    assert systolic(desk) == [(190, None), (120, None), (190, None)]


def test_a_cuff_that_forgets_may_send_the_same_without_a_time_again(desk: Desk) -> None:
    for _ in range(2):
        cuff(desk).take(MEASUREMENT, encode(BloodPressure(190, 110)))
    assert systolic(desk) == [(190, None), (190, None)]


def test_two_users_of_one_cuff_are_kept_apart(desk: Desk) -> None:
    """The same values at the same time, and without a time alternately and each doubled."""
    one = cuff(desk)
    for user in (1, 2):
        one.take(MEASUREMENT, encode(BloodPressure(120, 80, timestamp=TEN, user=user)))
    for user in (1, 2, 1, 2):
        one.take(MEASUREMENT, encode(BloodPressure(130, 80, user=user)))
    assert systolic(desk) == [(120, 1), (120, 2), (130, 1), (130, 2)]


def test_an_enhanced_measurement_is_dated_by_its_utc(desk: Desk) -> None:
    utc = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    cuff(desk).take(ENHANCED_MEASUREMENT, encode_enhanced(BloodPressure(120, 80, timestamp=TEN, utc=utc)))
    assert [r.measured_at for _, r in desk._outbox.batch(9)] == [utc, utc]


def test_a_diastolic_that_is_no_number_is_left_out(desk: Desk) -> None:
    cuff(desk).take(MEASUREMENT, encode(BloodPressure(150, timestamp=TEN, pulse=70)))
    assert {r.metric: r.value for _, r in desk._outbox.batch(9)} == {"systolic": 150, "pulse": 70}


def test_a_record_comes_in_segments_and_only_whole(desk: Desk) -> None:
    whole = Record(7, 0x2A35, encode(BloodPressure(120, 80, timestamp=TEN)))
    one = cuff(desk)
    first, *others = (encode_segment(segment) for segment in split(whole, size=8, crc=False))
    one.record(first)
    assert systolic(desk) == []
    for segment in others:
        one.record(segment)
    assert systolic(desk) == [(120, None)]
    one.record(others[-1])  # the end of a record whose beginning was lost
    assert [r.reason for r in desk._outbox.refused(9)] == ["truncated"]


def test_the_same_values_in_two_numbered_records_without_a_time_are_two(desk: Desk) -> None:
    one = cuff(desk)
    for number in (1, 2, 2):
        whole = Record(number, 0x2A35, encode(BloodPressure(120, 80)))
        for segment in split(whole, size=20, crc=False):
            one.record(encode_segment(segment))
    assert systolic(desk) == [(120, None), (120, None)]


def keeper(h: Home) -> RecordCuff:
    twin = h.street.twins[ADDRESS]
    assert isinstance(twin, RecordCuff)
    return twin


@pytest.fixture
async def h(tmp_path: Path) -> AsyncIterator[Home]:
    async with home(tmp_path, QUICK, [Plate(address=ADDRESS, kind="record_cuff", name="Keeper")]) as found:
        await found.street.twins[ADDRESS].do_flood()  # found at once
        yield found


def start(h: Home, **habits: object) -> None:
    h.start_gateway(Configured(ADDRESS, "blood_pressure", habits={"quiet_s": 0.2, **habits}))


def asked(h: Home) -> list[Operator]:
    return [request.operator for request in keeper(h).asked if request.op_code is OpCode.REPORT]


async def rests(h: Home) -> None:
    await until(lambda: not keeper(h).connections and not keeper(h)._has_news)


async def test_a_cuff_that_keeps_its_records_is_asked_for_what_is_new(h: Home) -> None:
    await keeper(h).do_fill(60)
    start(h)
    await until(lambda: len(h.values("systolic")) == 60)
    await rests(h)
    await keeper(h).do_measure(systolic=181, diastolic=95)
    await until(lambda: 181 in h.values("systolic"))
    await rests(h)
    assert asked(h) == [Operator.ALL, Operator.AT_LEAST]
    assert len(keeper(h).kept) == 61
    assert h.desk.of(ADDRESS).trouble is None


async def test_a_cuff_whose_records_name_users_is_asked_for_all(h: Home) -> None:
    """Each user's records count by themselves: another's next number is below the one known."""
    await keeper(h).do_measure(systolic=120, diastolic=80, user=1)
    start(h)
    await until(lambda: len(h.values("systolic")) == 1)
    await rests(h)
    await keeper(h).do_measure(systolic=121, diastolic=81, user=2)
    await until(lambda: [(r.value, r.user) for r in h.readings("systolic")] == [(120, 1), (121, 2)])
    assert asked(h) == [Operator.ALL, Operator.ALL]


async def test_a_cuff_cut_in_mid_transfer_and_a_gateway_killed_lose_and_double_nothing(h: Home) -> None:
    await keeper(h).do_double()
    await keeper(h).do_fill(30)
    await keeper(h).do_drop_link(after=40)
    start(h)
    await until(lambda: len(h.values("systolic")) >= 5)
    await h.stop_gateway()
    start(h)
    await until(lambda: len(h.values("systolic")) == 30)
    await rests(h)
    assert len({r.key for r in h.readings("systolic")}) == 30


async def test_records_are_deleted_on_the_cuff_only_when_its_habits_say_so(h: Home) -> None:
    await keeper(h).do_fill(5)
    start(h, delete=True)
    await until(lambda: not keeper(h).kept)
    assert len(h.values("systolic")) == 5


async def test_a_cuff_that_need_not_be_asked_is_not(h: Home) -> None:
    await keeper(h).do_fill(5)
    start(h, records="none")
    await until(lambda: h.desk.of(ADDRESS).firmware)
    await until(lambda: not keeper(h).connections)
    assert keeper(h).asked == []


async def test_a_measurement_under_way_is_waited_for_and_its_pressures_are_no_readings(tmp_path: Path) -> None:
    async with home(tmp_path, QUICK) as found:
        links: list[object] = []
        found.cuff.device.on("connection", links.append)
        found.start_gateway(Configured(CUFF, "blood_pressure", habits={"quiet_s": 1}))
        await found.cuff.measure(Measurement(systolic=120, diastolic=80))
        found.cuff.measuring = True
        await until(lambda: found.desk.of(CUFF).firmware)
        await found.cuff.do_inflate(mmhg=160)
        inflated = time.monotonic()
        await until(lambda: time.monotonic() - inflated > 1.5)  # longer than the silence after which it would be left
        await found.cuff.do_measure(systolic=133, diastolic=80)
        await until(lambda: found.values("systolic") == [120, 133])
        assert len(links) == 1
        assert found.reasons() == []
