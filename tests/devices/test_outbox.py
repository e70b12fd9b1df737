"""A reading is on the gateway's disk before its device may forget it, and leaves only when the service has it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devices import outbox as outbox_module
from devices.outbox import Outbox, OutboxFull
from devices.outbox_shape import OtherVersion
from devices.readings import Quality, Reading
from devices.recording import Recording

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def reading(n: int = 0, **changes: object) -> Reading:
    fields = {"device": "C0:00:00:00:00:01", "metric": "systolic", "value": 120.0 + n}
    return Reading(**{**fields, "measured_at": NOW + timedelta(seconds=n), "collected_at": NOW, **changes})  # type: ignore[arg-type]


def test_readings_come_out_in_the_order_they_went_in_and_stay_until_done(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.put([reading(i) for i in range(5)]) == 5
        first = outbox.batch(3)
        assert [r.value for _, r in first] == [120, 121, 122]
        assert outbox.batch(3) == first
        outbox.done([i for i, _ in first])
        assert [r.value for _, r in outbox.batch(9)] == [123, 124]


def test_a_doubled_indication_is_held_once(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.put([reading(), reading()]) == 1
        assert outbox.put([reading()]) == 0
        assert outbox.depth() == 1


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 1023),
    st.none() | st.integers(0, 254),
)
def test_a_reading_comes_out_as_it_went_in(value: float, measured: datetime, quality: int, user: int | None) -> None:
    with Outbox(Path(":memory:")) as outbox:
        held = reading(value=value, measured_at=measured, quality=Quality(quality), user=user, detail={"impact_g": 3.5})
        outbox.put([held])
        assert outbox.batch(1)[0][1] == held


def test_what_cannot_be_read_is_kept_with_its_bytes_and_told_once(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.put_refused("C0", "2a35", b"\x16\xff", "no_value", NOW)
        [refused] = outbox.refused(10)
        assert (refused.raw, refused.reason, refused.at) == (b"\x16\xff", "no_value", NOW)
        outbox.told([refused.id])
        assert outbox.refused(10) == []
        assert outbox.quarantined() == 1


def test_what_the_service_does_not_take_leaves_the_queue_and_is_kept_with_its_reason(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.put([reading(0), reading(1)])
        (number, _), _ = outbox.batch(2)
        outbox.reject({number: "unknown_device"}, NOW)
        assert outbox.depth() == 1
        assert outbox.refused(9, untold=False)[0].reason == "unknown_device"


def fill(outbox: Outbox, make: Callable[..., Reading] = reading, at_once: int = 10) -> None:
    for start in range(0, 100_000, at_once):
        outbox.put([make(start + i, detail={"x" * 50: 1.0}) for i in range(at_once)])


def test_a_full_disk_is_said_in_words_and_nothing_is_half_kept(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db", max_bytes=200_000) as outbox:
        with pytest.raises(OutboxFull, match="disk is full"):
            fill(outbox)
        kept = outbox.depth()
        assert kept > 0
        assert kept % 10 == 0
        outbox.done([i for i, _ in outbox.batch(kept)])
        assert outbox.put([reading(kept)]) == 1


def test_kill_9_loses_no_reading_whose_put_returned(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from datetime import UTC, datetime, timedelta
        from pathlib import Path
        from devices.outbox import Outbox
        from devices.readings import Reading
        now = datetime(2026, 11, 24, tzinfo=UTC)
        outbox = Outbox(Path(sys.argv[1]))
        start = outbox.depth()
        for n in range(start, start + 100_000):
            outbox.put([Reading("C0", "pulse", float(n), now + timedelta(seconds=n), now)])
            print(n, flush=True)
        """
    )
    path = tmp_path / "outbox.db"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        said = [int(next(writer.stdout)) for _ in range(40)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout]
        writer.wait()
        with Outbox(path) as outbox:
            held = [int(r.value) for _, r in outbox.batch(10_000)]
        assert held[: said[-1] + 1] == list(range(said[-1] + 1))


def test_small_facts_survive(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.remember("key", "one")
        outbox.remember("key", "two")
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.recall("key") == "two"
        assert outbox.recall("absent") is None


def test_what_is_held_is_in_no_batch_until_it_is_released_with_the_quality_it_has_then(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        held = reading(120)
        outbox.put([held], held_s=60)
        assert outbox.depth() == 1
        assert outbox.batch(10) == []
        outbox.release([replace(held, quality=Quality.CLOCK_SUSPECT)])
        assert [r.quality for _, r in outbox.batch(10)] == [Quality.CLOCK_SUSPECT]


def test_what_nobody_releases_goes_by_itself(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        outbox.put([reading(120)], held_s=0.05)
        time.sleep(0.06)
        assert len(outbox.batch(10)) == 1


def test_a_fact_is_remembered_with_its_readings_or_not_at_all(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", max_bytes=200_000) as outbox:
        outbox.put([reading(120)], facts={"counter": "1"})
        assert outbox.recall("counter") == "1"
        with pytest.raises(OutboxFull):
            outbox.put([reading(n) for n in range(2000)], facts={"counter": "2"})
        assert outbox.recall("counter") == "1"


def test_two_values_of_one_moment_are_both_kept_one_as_refused(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        first = reading(120)
        outbox.put([first])
        assert outbox.put([first, replace(first, value=130.0)]) == 0
        (refused,) = outbox.refused(10)
        assert refused.reason == "same_time_other_value"
        assert json.loads(refused.raw)["value"] == 130.0


def test_room_is_looked_for_without_leaving_a_trace(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        outbox.check_room()
        assert (outbox.depth(), outbox.quarantined()) == (0, 0)
    with Outbox(tmp_path / "small", max_bytes=100_000) as outbox, pytest.raises(OutboxFull):
        outbox.check_room()


def fall(n: int = 0, **changes: object) -> Reading:
    return reading(n, device="C0:00:00:00:00:02", metric="fall", value=0.9, **changes)


def recording(n: int = 0, samples: int = 600) -> Recording:
    felt = np.random.default_rng(n).integers(-2000, 2000, (samples, 3), dtype=np.int16)
    return Recording("C0:00:00:00:00:02", NOW + timedelta(minutes=n), 50.0, felt, "fall")


def test_emergencies_come_first_and_the_others_in_their_order(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        outbox.put([reading(1), fall(2), reading(3), fall(4)])
        assert [r.measured_at.second for _, r in outbox.batch(3)] == [2, 4, 1]
        assert [r.measured_at.second for _, r in outbox.batch(9, urgent=True)] == [2, 4]
        assert [r.measured_at.second for _, r in outbox.batch(9, urgent=False)] == [1, 3]
        assert [r.measured_at.second for _, r in outbox.newest_emergencies(1)] == [4]


def test_two_users_of_one_cuff_at_one_moment_are_two_readings(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        both = [reading(user=1), reading(user=2), reading(user=None, value=99.0)]
        assert outbox.put([*both, *both]) == 3
        assert [r for _, r in outbox.batch(9)] == both
        assert outbox.quarantined() == 0


def test_what_was_held_by_a_clock_that_ran_ahead_is_not_held_until_that_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW + timedelta(days=3650)

    with Outbox(tmp_path / "o") as outbox:
        with monkeypatch.context() as patch:
            patch.setattr(outbox_module, "datetime", Ahead)
            outbox.put([reading(1)], held_s=30)
        assert len(outbox.batch(9)) == 1


def test_a_recording_waits_until_it_is_done_and_is_kept_once(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        assert outbox.put_recording(recording(1))
        assert not outbox.put_recording(recording(1))
        outbox.put_recording(recording(2))
        found = outbox.recording()
        assert found is not None
        number, first = found
        assert (first.device, first.started_at, first.rate_hz, first.reason) == (
            "C0:00:00:00:00:02", NOW + timedelta(minutes=1), 50.0, "fall"
        )  # fmt: skip
        assert np.array_equal(first.samples, recording(1).samples)
        outbox.recording_done(number)
        assert outbox.recordings() == 1


def test_recordings_leave_half_of_the_room_to_readings_and_the_oldest_goes_first(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", max_bytes=2_000_000) as outbox:
        for n in range(400):
            assert outbox.put_recording(recording(n))
        assert outbox.recordings() + outbox.recordings_dropped() == 400
        assert outbox.recordings() > 100
        assert (tmp_path / "o").stat().st_size < 1_100_000
        found = outbox.recording()
        assert found is not None
        assert found[1].started_at == NOW + timedelta(minutes=outbox.recordings_dropped())


def test_readings_take_the_room_of_recordings_and_then_no_more_are_taken_in(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", max_bytes=1_000_000) as outbox:
        for n in range(100):
            outbox.put_recording(recording(n))
        with pytest.raises(OutboxFull):
            fill(outbox)
        assert outbox.recordings() == 0
        assert outbox.recordings_dropped() == 100
        kept = outbox.depth()
        assert [r.value for _, r in outbox.batch(kept)] == [120.0 + n for n in range(kept)]
        assert not outbox.put_recording(recording(200))
        assert outbox.recordings_dropped() == 101


def test_the_last_room_is_for_emergencies(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", max_bytes=2_000_000) as outbox:
        with pytest.raises(OutboxFull):
            fill(outbox)
        for n in range(1000):
            outbox.put([fall(n)])
        with pytest.raises(OutboxFull):
            outbox.put([reading(200_000 + n) for n in range(1000)])
        assert len(outbox.batch(2000, urgent=True)) == 1000


def test_an_emergency_that_the_disk_does_not_take_is_sent_all_the_same(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o", max_bytes=250_000) as outbox:
        with pytest.raises(OutboxFull):
            fill(outbox, fall, at_once=1)
        on_disk = outbox.depth()
        last = fall(-3600, detail={"x" * 3000: 1.0})
        for n in range(3):  # its device says it again as long as nobody confirms
            with pytest.raises(OutboxFull):
                outbox.put([replace(last, measured_at=last.measured_at + timedelta(seconds=n))])
        waiting = outbox.batch(100_000, urgent=True)
        assert len(waiting) == on_disk + 2
        assert waiting[1][1] == last
        outbox.done([waiting[0][0]])
        outbox.reject({waiting[1][0]: "unknown_device"}, NOW)
        assert len(outbox.batch(100_000, urgent=True)) == on_disk
        outbox.done([number for number, _ in outbox.batch(300, urgent=True)])
        assert outbox.put([fall(-1)]) == 1


def test_a_call_for_help_goes_out_from_a_card_whose_pages_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "o"
    with Outbox(path) as outbox:
        outbox.put([reading(n) for n in range(3000)])
    outbox = Outbox(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes([0xA5]) * (len(whole) - 4096))
    with pytest.raises(OutboxFull, match="memory card fails"):
        outbox.put([fall(1)])
    assert [r for _, r in outbox.batch(10, urgent=True)] == [fall(1)]
    assert [r for _, r in outbox.newest_emergencies(10)] == [fall(1)]
    outbox.done([number for number, _ in outbox.batch(10, urgent=True)])
    with pytest.raises(sqlite3.DatabaseError):
        outbox.batch(10, urgent=True)
    outbox.close()


def test_a_flood_of_bad_packets_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MOST_REFUSED", 20)
    with Outbox(tmp_path / "o") as outbox:
        outbox.put([reading(1)])
        outbox.put([reading(1, value=7.0)])  # a reading, though it contradicts another
        for n in range(15):
            outbox.put_refused("C0", "2a35", bytes([n]), "no_value", NOW)
        outbox.told([r.id for r in outbox.refused(99) if r.raw in (b"\x03", b"\x05")])
        for n in range(15, 40):
            outbox.put_refused("C0", "2a35", bytes([n]), "no_value", NOW)
        kept = outbox.refused(99, untold=False)
        assert kept[0].reason == "same_time_other_value"
        assert [r.raw[0] for r in kept[1:]] == list(range(21, 40))
        assert outbox.quarantined() == 41


def test_packets_the_service_knows_of_go_before_those_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_REFUSED", 5)
    with Outbox(tmp_path / "o") as outbox:
        for n in range(5):
            outbox.put_refused("C0", "2a35", bytes([n]), "no_value", NOW)
        outbox.told([r.id for r in outbox.refused(99) if r.raw[0] >= 3])
        for n in range(5, 7):
            outbox.put_refused("C0", "2a35", bytes([n]), "no_value", NOW)
        assert [r.raw[0] for r in outbox.refused(99)] == [0, 1, 2, 5, 6]


def six_weeks() -> Iterable[list[Reading]]:
    """What a home with everything collects in six weeks: 6 cuff measurements a day, the pulse with its spread each
    minute, 2,000 changes of doors, beds and movement, an oximeter three times, a battery of each device."""
    for minute in range(42 * 24 * 60):
        at = NOW + timedelta(minutes=minute)
        found = [("pulse", "A1", 70.0), ("rr_standard_deviation", "A1", 35.0)]
        found += [("movement", f"B{minute % 8}", 1.0)] if minute % 18 else [("door", "C1", 1.0), ("bed", "D1", 0.0)]
        found += [("movement", "B9", float(minute % 2))] if minute % 3 == 0 else []
        if minute % 240 == 0:
            found += [(m, "E1", 120.0) for m in ("systolic", "diastolic", "mean_arterial_pressure", "pulse")]
        if minute % 480 == 0:
            found += [(m, "F1", 96.0) for m in ("spo2", "pulse", "perfusion_index")]
        if minute % 1440 == 0:
            found += [("battery", f"G{n}", 90.0) for n in range(15)]
        yield [Reading(f"C0:00:00:00:00:{d}", m, v, at, at, Quality.NO_DEVICE_TIME) for m, d, v in found]


def test_six_weeks_without_the_service_fit_and_asking_how_many_wait_reads_no_table(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        days: list[Reading] = []
        for minute in six_weeks():
            days += minute
        for n in range(0, len(days), 5000):
            outbox.put(days[n : n + 5000])
        assert outbox.depth() == len(days) > 200_000
        assert outbox.oldest() == NOW
        assert (tmp_path / "o").stat().st_size < 60_000_000
        for query in asked(outbox):
            plan = outbox._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert not any(step[3] == "SCAN waiting" for step in plan), (query, plan)
        assert outbox._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def asked(outbox: Outbox) -> list[str]:
    """The queries of a heartbeat and of a look for emergencies."""
    said: list[str] = []
    outbox._db.set_trace_callback(said.append)
    outbox.depth(), outbox.quarantined(), outbox.recordings(), outbox.batch(10, urgent=True)
    outbox._db.set_trace_callback(None)
    assert len(said) == 4
    return said


def test_what_a_long_outage_took_is_given_back_but_for_a_reserve(tmp_path: Path) -> None:
    path = tmp_path / "o"
    with Outbox(path) as outbox:
        for n in range(0, 60_000, 10_000):
            outbox.put([reading(n + i, detail={"x" * 40: 1.0}) for i in range(10_000)])
        outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        large = path.stat().st_size
        while batch := outbox.batch(500):
            outbox.done([i for i, _ in batch])
        outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert large > 10_000_000
        assert 4_000_000 < path.stat().st_size < 6_000_000


def test_the_log_beside_the_file_stays_small_however_long_readings_come_and_go(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        for n in range(0, 6000, 2):
            outbox.put([reading(n), reading(n + 1)])
            outbox.done([i for i, _ in outbox.batch(9)])
        assert (tmp_path / "o-wal").stat().st_size <= 5_000_000
        assert (tmp_path / "o").stat().st_size < 300_000


def test_a_disk_that_fills_in_the_middle_of_a_commit_leaves_everything_that_was_confirmed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import resource, sys
        from datetime import UTC, datetime, timedelta
        from pathlib import Path
        from devices.outbox import Outbox, OutboxFull
        from devices.readings import Reading
        now = datetime(2026, 11, 24, tzinfo=UTC)
        outbox = Outbox(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
        kept, refused = 0, 0
        for n in range(3000):
            try:
                outbox.put([Reading("C0", m, float(n), now + timedelta(seconds=n), now) for m in ("systolic", "pulse")])
                kept += 1
            except OutboxFull:
                refused += 1
        print(kept, refused)
        """
    )
    for most in (150_000, 262_144, 299_999):
        path = tmp_path / str(most)
        ran = subprocess.run([sys.executable, "-c", script, str(path), str(most)], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        kept, refused = map(int, ran.stdout.split())
        assert kept > 0
        assert refused > 0
        with Outbox(path) as outbox:
            assert outbox._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            held = outbox.batch(10_000)
            assert len(held) == outbox.depth() == 2 * kept
            assert len({r.measured_at for _, r in held}) == kept  # never half of one
            outbox.done([number for number, _ in held])
            assert outbox.put([reading(1)]) == 1


def test_a_file_of_another_version_is_left_as_it_is(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o") as outbox:
        outbox.put([reading(1)])
        outbox._db.execute("PRAGMA user_version=99")
    with pytest.raises(OtherVersion, match="shape 99"):
        Outbox(tmp_path / "o")


class Weeks(RuleBasedStateMachine):
    """Readings, emergencies, recordings and packets come and go in a file that is too small for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(Path(":memory:"), max_bytes=200_000)
        self.waiting: dict[Reading, None] = {}
        self.recordings = 0
        self.recorded = 0
        self.n = 0

    def teardown(self) -> None:
        self.outbox.close()

    @rule(count=st.integers(1, 200), urgent=st.booleans(), user=st.none() | st.integers(0, 2))
    def collect(self, count: int, urgent: bool, user: int | None) -> None:
        make = fall if urgent else reading
        found = [make(self.n + i, user=user, detail={"x" * 30: 1.0}) for i in range(count)]
        self.n += count
        try:
            self.outbox.put(found)
        except OutboxFull:
            return
        self.waiting |= dict.fromkeys(map(Frozen, found))  # type: ignore[arg-type]

    @rule(samples=st.integers(1, 3000))
    def record(self, samples: int) -> None:
        self.n += 1
        self.outbox.put_recording(recording(self.n, samples))
        self.recorded += 1

    @rule(count=st.integers(1, 50))
    def refuse(self, count: int) -> None:
        try:
            for n in range(count):
                self.outbox.put_refused("C0", "2a35", bytes([n]), "no_value", NOW)
        except OutboxFull:
            return

    @rule(limit=st.integers(1, 300))
    def deliver(self, limit: int) -> None:
        batch = self.outbox.batch(limit)
        assert bool(batch) >= bool(self.waiting)
        for number, r in batch:
            if number > 0:
                del self.waiting[Frozen(r)]  # type: ignore[arg-type]
        self.outbox.done([i for i, _ in batch])

    @invariant()
    def no_reading_is_lost_and_emergencies_are_first(self) -> None:
        held = [r for number, r in self.outbox.batch(100_000) if number > 0]
        assert {Frozen(r) for r in held} == set(self.waiting)
        assert len(held) == self.outbox.depth()
        urgent = [r.metric == "fall" for r in held]
        assert urgent == sorted(urgent, reverse=True)
        for lane in (True, False):
            times = [r.measured_at for r, u in zip(held, urgent, strict=True) if u is lane]
            assert times == sorted(times)

    @invariant()
    def every_recording_is_there_or_counted(self) -> None:
        assert self.outbox.recordings() + self.outbox.recordings_dropped() == self.recorded


class Frozen(tuple[object, ...]):
    """A reading as a key: its detail cannot be hashed."""

    __slots__ = ()

    def __new__(cls, r: Reading) -> Frozen:
        return super().__new__(cls, (r.key, r.user, r.value))


TestWeeks = Weeks.TestCase
TestWeeks.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
