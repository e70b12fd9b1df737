"""A reading is on the gateway's disk before its device may forget it, and leaves only when the service has it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.outbox import Outbox, OutboxFull
from devices.readings import Quality, Reading

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


def fill(outbox: Outbox) -> None:
    for start in range(0, 100_000, 10):
        outbox.put([reading(start + i, detail={"x" * 50: 1.0}) for i in range(10)])


def test_a_full_disk_is_said_in_words_and_nothing_is_half_kept(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db", max_bytes=100_000) as outbox:
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
    with Outbox(tmp_path / "o", max_bytes=28 * 1024) as outbox:
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
    with Outbox(tmp_path / "small", max_bytes=28 * 1024) as outbox, pytest.raises(OutboxFull):
        outbox.check_room()
