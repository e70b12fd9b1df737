"""Samples are timed by what a device tells, read at equal times, and never over a gap."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.falls.evaluation import Sensor, judge
from devices.falls.features import RATE_HZ, Samples
from devices.falls.resample import Resampler
from devices.falls.tape import Clip, Tape
from devices.falls.times import SECOND, ArrivalTimes, DeviceTimes, Nanoseconds, Stamped
from devices.falls.watch import Found, Kept, Told, Watch
from devices.virtual.body import Accelerometer, Body
from tests.devices.test_falls import recordings

MS = SECOND // 1000


def jittered(seed: int, count: int, rate_hz: float = 52.0) -> tuple[Nanoseconds, Samples]:
    """A stream whose samples come at uneven times, with strange values."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.integers(1, int(2 * SECOND / rate_hz), count)) + 2**60
    return times, random.normal(0, 3, (count, 3))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), st.integers(1, 400), st.lists(st.integers(0, 400), max_size=40))
def test_the_same_samples_come_out_to_the_last_bit_however_the_stream_is_cut(
    seed: int, count: int, cuts: list[int]
) -> None:
    times, samples = jittered(seed, count)
    whole = Resampler(50).feed(times, samples)
    resampler = Resampler(50)
    ends = [0, *sorted(min(cut, count) for cut in cuts), count]
    pieces = [resampler.feed(times[a:b], samples[a:b]) for a, b in pairwise(ends)]
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


@given(st.integers(0, 50), st.integers(2, 200), st.sampled_from([10, 26, 50, 52, 200]))
def test_what_comes_out_lies_on_the_lines_between_what_went_in(seed: int, count: int, rate_hz: int) -> None:
    times, samples = jittered(seed, count, rate_hz)
    resampler = Resampler(50)
    even = resampler.feed(times, samples)
    at = np.array([resampler.time_ns(i) for i in range(len(even))])
    assert at[0] == times[0]
    assert times[-1] - 20 * MS < at[-1] <= times[-1]
    for axis in range(3):
        expected = np.interp(at - times[0], times - times[0], samples[:, axis])
        assert np.allclose(even[:, axis], expected, atol=1e-9)


def test_a_uniform_stream_at_the_wanted_rate_comes_out_as_it_went_in() -> None:
    samples = np.random.default_rng(1).normal(0, 1, (500, 3))
    times = 7 * SECOND + np.arange(500) * 20 * MS
    assert Resampler(50).feed(times, samples).tobytes() == samples.tobytes()


def test_after_a_reset_no_line_is_drawn_to_what_was_before() -> None:
    resampler = Resampler(50)
    resampler.feed(np.array([0, 20 * MS]), np.ones((2, 3)))
    resampler.reset()
    even = resampler.feed(np.array([SECOND, SECOND + 20 * MS]), 5 * np.ones((2, 3)))
    assert even.tolist() == [[5.0] * 3] * 2
    assert resampler.time_ns(0) == SECOND


def stamped(times: DeviceTimes, packets: list[tuple[int, int]]) -> list[Stamped]:
    return [times.stamp(last_ns, count) for last_ns, count in packets]


@given(
    st.floats(-200, 200),
    st.lists(st.integers(1, 60), min_size=2, max_size=50),
    st.integers(0, 2**64 - 1),
    st.integers(0, 9),
)
def test_a_drifting_clock_and_its_jitter_are_no_gap(ppm: float, counts: list[int], switched_on: int, seed: int) -> None:
    """Sampled by a crystal that is off by so much, and stamped a millisecond early or late."""
    random = np.random.default_rng(seed)
    period = 20 * MS * (1 + ppm / 1e6)
    ends = np.cumsum(counts)
    packets = [
        (switched_on + round(end * period) + int(random.integers(-MS, MS)), count)
        for end, count in zip(ends.tolist(), counts, strict=True)
    ]
    first, *rest = stamped(DeviceTimes(20 * MS), packets)
    assert not first.follows
    assert all(packet.follows for packet in rest)
    times = np.concatenate([first.times, *[packet.times for packet in rest]])
    assert (np.diff(times) > 0).all()
    assert times[-1] - first.times[-1] == packets[-1][0] - packets[0][0]


@given(st.lists(st.integers(10, 60), min_size=3, max_size=20), st.data())
def test_every_lost_packet_is_a_known_gap(counts: list[int], data: st.DataObject) -> None:
    lost = data.draw(st.integers(1, len(counts) - 2))
    ends = (np.cumsum(counts) * 20 * MS).tolist()
    packets = [p for i, p in enumerate(zip(ends, counts, strict=True)) if i != lost]
    found = stamped(DeviceTimes(20 * MS), packets)
    assert [i for i, packet in enumerate(found) if not packet.follows] == [0, lost]
    assert np.diff(np.concatenate([p.times for p in found])).max() == (counts[lost] + 1) * 20 * MS


def test_a_clock_that_wraps_is_no_gap() -> None:
    wraps = (1 << 32) * MS
    packets = [((wraps - 1000 * MS + n * 500 * MS) % wraps, 25) for n in range(6)]
    assert packets[2][0] == 0
    found = stamped(DeviceTimes(20 * MS, wraps), packets)
    assert [packet.follows for packet in found] == [False, True, True, True, True, True]
    assert set(np.diff(np.concatenate([p.times for p in found])).tolist()) == {20 * MS}


@pytest.mark.parametrize("jump_ns", [-3600 * SECOND, -SECOND, SECOND, 3600 * SECOND])
def test_a_clock_that_jumps_is_a_gap_and_then_goes_on(jump_ns: int) -> None:
    packets = [(10_000 * SECOND + n * 500 * MS + (jump_ns if n >= 3 else 0), 25) for n in range(6)]
    found = stamped(DeviceTimes(20 * MS), packets)
    assert [packet.follows for packet in found] == [False, True, True, False, True, True]


def test_a_packet_that_comes_twice_has_no_samples_the_second_time() -> None:
    once, again, after = stamped(DeviceTimes(20 * MS), [(SECOND, 25), (SECOND, 25), (SECOND + 500 * MS, 25)])
    assert (len(once.times), len(again.times), len(after.times)) == (25, 0, 25)
    assert after.follows


def arrivals(seed: int, rate_hz: float, count: int, late_ms: float) -> list[int]:
    """When packets of one sample arrive that are held back by up to so much, and never overtake each other."""
    random = np.random.default_rng(seed)
    sent = np.arange(count) * SECOND / rate_hz
    arrived: list[int] = np.maximum.accumulate(sent + random.uniform(0, late_ms * MS, count)).astype(int).tolist()
    return arrived


@pytest.mark.parametrize(("rate_hz", "nominal_hz"), [(50, 50), (47, 50), (10, 10), (30, 50)])
@pytest.mark.parametrize("seed", range(3))
def test_arrivals_are_smoothed_to_an_even_stream_at_the_rate_that_is_found(
    seed: int, rate_hz: float, nominal_hz: float
) -> None:
    times = ArrivalTimes(round(SECOND / nominal_hz))
    found = [times.stamp(at, 1) for at in arrivals(seed, rate_hz, 1500, 60)]
    settled = np.concatenate([packet.times for packet in found[500:]])
    assert all(packet.follows for packet in found[1:])
    steps = np.diff(settled)
    assert (steps > 0).all()
    assert steps.mean() == pytest.approx(SECOND / rate_hz, rel=0.002)
    assert steps.std() < 5 * MS


def test_a_silence_is_a_gap_for_whoever_has_no_clock() -> None:
    at = arrivals(1, 50, 200, 20)
    times = ArrivalTimes(20 * MS)
    found = [times.stamp(t, 1) for t in [*at[:100], *[t + 2 * SECOND for t in at[100:]]]]
    assert [i for i, packet in enumerate(found) if not packet.follows] == [0, 100]


def test_a_radio_that_holds_everything_back_for_a_while_is_no_gap_and_bends_little() -> None:
    sent = [n * 20 * MS for n in range(1000)]
    held = [max(at, 610 * 20 * MS) if at > 580 * 20 * MS else at for at in sent]
    times = ArrivalTimes(20 * MS)
    found = [times.stamp(at, 1) for at in held]
    assert [i for i, packet in enumerate(found) if not packet.follows] == [0]
    bent = np.concatenate([packet.times for packet in found]) - np.array(sent)
    assert np.abs(bent).max() < 350 * MS  # of 600
    assert np.abs(bent[-100:]).max() < 5 * MS


def test_several_samples_that_arrive_together_are_spread_over_the_time_they_took() -> None:
    times = ArrivalTimes(20 * MS)
    found = [times.stamp(n * 100 * MS, 5) for n in range(10)]
    assert set(np.diff(np.concatenate([p.times for p in found])).tolist()) == {20 * MS}


def test_a_clip_is_four_seconds_before_an_impact_and_eight_after_it() -> None:
    tape = Tape(10)
    clips: list[Clip] = []
    for n in range(40):
        tape.add(np.arange(n * 10, n * 10 + 10)[:, None] * np.ones(3))
        if n == 20:
            tape.want(150)
        clips += tape.ready()
    [clip] = clips
    assert clip.first == 110
    assert clip.samples[:, 0].tolist() == list(range(110, 230))


def test_what_there_is_of_a_clip_is_kept_when_the_stream_breaks_off() -> None:
    tape = Tape(10)
    tape.add(np.arange(60)[:, None] * np.ones(3))
    tape.want(20)
    [clip] = tape.stop()
    assert (clip.first, len(clip.samples)) == (0, 60)
    assert tape.stop() == []


@cache
def fallen(rate_hz: float, seed: int = 4) -> Samples:
    """Ten seconds of sitting, a fall, twenty seconds on the floor, then up and about, as felt at this rate."""
    body = Body(seed)
    sensor = Accelerometer(body, rate_hz)
    pieces = [sensor.take(round(10 * rate_hz))]
    body.fall()
    pieces.append(sensor.take(round(20 * rate_hz)))
    body.get_up()
    pieces.append(sensor.take(round(15 * rate_hz)))
    return np.concatenate(pieces)


def told_of(found: list[Found]) -> list[Told]:
    return [one for one in found if isinstance(one, Told)]


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([25.0, 50.0, 52.0, 200.0]), st.lists(st.integers(0, 9000), max_size=30))
def test_the_same_life_gives_the_same_events_and_clips_however_it_is_cut(rate_hz: float, cuts: list[int]) -> None:
    samples = fallen(rate_hz)
    times = np.round(np.arange(len(samples)) * SECOND / rate_hz).astype(np.int64)
    watch = Watch()
    ends = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    found = [one for a, b in pairwise(ends) for one in watch.feed(times[a:b], samples[a:b])]
    whole = Watch().feed(times, samples)
    assert told_of(found) == told_of(whole)
    fall, recovered = (one for one in told_of(found) if one.event.kind in ("fall", "recovered"))
    assert (fall.event.kind, recovered.event.kind) == ("fall", "recovered")
    [kept], [expected] = [[o for o in f if isinstance(o, Kept)] for f in (found, whole)]
    assert (kept.started_ns, kept.samples.tobytes()) == (expected.started_ns, expected.samples.tobytes())
    assert len(kept.samples) == 12 * RATE_HZ
    assert kept.started_ns == fall.at_ns - 4 * SECOND


@pytest.mark.parametrize("rate_hz", [10.0, 12.5, 26.0, 50.0, 104.0])
def test_a_fall_is_told_at_its_time_whatever_the_rate(rate_hz: float) -> None:
    samples = fallen(rate_hz)
    times = np.round(np.arange(len(samples)) * SECOND / rate_hz).astype(np.int64)
    fall = next(one for one in told_of(Watch().feed(times, samples)) if one.event.kind == "fall")
    assert 10 * SECOND < fall.at_ns < 12.5 * SECOND


def test_a_fall_is_not_pieced_together_over_an_interruption() -> None:
    samples = fallen(50)
    times = np.arange(len(samples)) * 20 * MS
    watch = Watch()
    before = 10 * 50
    assert told_of(watch.feed(times[:before], samples[:before])) == []
    assert told_of(watch.interrupt()) == []
    assert not [one for one in told_of(watch.feed(times[700:], samples[700:])) if one.event.kind == "fall"]


def test_an_interruption_lets_what_is_pending_be_told_by_what_was_seen() -> None:
    samples = fallen(50)
    times = np.arange(len(samples)) * 20 * MS
    watch = Watch()
    assert "fall" not in [one.event.kind for one in told_of(watch.feed(times[:850], samples[:850]))]
    assert [one.event.kind for one in told_of(watch.interrupt())] == ["fall"]


@pytest.mark.shared
@pytest.mark.parametrize(("rate_hz", "range_g"), [(20, None), (10, 8), (None, 2)])
def test_falls_are_told_by_slow_and_narrow_sensors_too(
    shared: Path, rate_hz: int | None, range_g: float | None
) -> None:
    sensor = Sensor(rate_hz, range_g)
    seen: dict[bool, list[bool]] = {True: [], False: []}
    for t in recordings(shared, "weda_wrist50", every=6):
        events = judge([t.samples], t.rate_hz, Watch(), sensor)
        seen[t.is_fall].append(any(e.kind == "fall" for e in events))
    assert np.mean(seen[True]) >= 0.8
    assert 1 - np.mean(seen[False]) >= 0.95
