"""A device that nobody wears, or that fell alone, is told from a wearer who fell; where in doubt, she fell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.falls.features import Samples
from devices.falls.resample import Resampler
from devices.falls.times import SECOND as SECOND_NS
from devices.falls.watch import State, Told, Watch
from devices.falls.worn import CHARGED_S, NOT_WORN_S, Charging, Worn, WornEvent
from devices.virtual.body import RATE_HZ, Accelerometer, Body, Doing

SECOND = RATE_HZ
FALLS = ("sisfall_waist50", "weda_wrist50", "smartfallmm_watch32")


def table(seconds: float, noise_g: float = 0.003, seed: int = 0) -> Samples:
    """A device that lies on a table, as its sensor feels it."""
    noise = np.random.default_rng(seed).normal(0, noise_g, (round(seconds * SECOND), 3))
    return np.array([0.02, -0.03, 1.01]) + noise


def kinds(events: list[WornEvent]) -> list[str]:
    return [event.kind for event in events]


def happens(what: str, seed: int, rate_hz: float = RATE_HZ, range_g: float | None = None) -> Samples:
    """Twenty seconds of walking, that, and twenty seconds more, at 50 Hz as this sensor felt it."""
    body = Body(seed)
    body.doing = Doing.WALKING
    sensor = Accelerometer(body, rate_hz, range_g)
    before = sensor.take(round(20 * rate_hz))
    getattr(body, what)()
    samples = np.concatenate([before, sensor.take(round(20 * rate_hz))])
    times = (np.arange(len(samples)) * SECOND_NS / rate_hz).astype(np.int64)
    return Resampler(RATE_HZ).feed(times, samples)


@pytest.mark.parametrize("noise_g", [0.0, 0.001, 0.003, 0.007])
def test_what_lies_on_a_table_is_not_worn_whatever_its_sensor_s_noise(noise_g: float) -> None:
    [event] = Worn().feed(table(NOT_WORN_S + 60, noise_g))
    assert event.kind == "not_worn"
    assert NOT_WORN_S <= event.sample / SECOND <= NOT_WORN_S + 30


def test_a_table_that_is_shaken_is_still_a_table() -> None:
    samples = table(NOT_WORN_S + 60)
    for at in range(10, NOT_WORN_S, 95):
        samples[at * SECOND : at * SECOND + 40] += np.random.default_rng(at).normal(0, 0.2, (40, 3))
    assert kinds(Worn().feed(samples)) == ["not_worn"]


@pytest.mark.parametrize("breath_g", [0.01, 0.03])
def test_whoever_only_breathes_wears_it(breath_g: float) -> None:
    samples = table(NOT_WORN_S + 600)
    samples[:, 0] += breath_g * np.sin(2 * np.pi * 0.25 * np.arange(len(samples)) / SECOND)
    assert Worn().feed(samples) == []


def test_a_hand_that_turns_a_little_now_and_then_wears_it() -> None:
    samples = table(2 * NOT_WORN_S)
    for at in range(0, 2 * NOT_WORN_S, 600):
        samples[at * SECOND :, 1] += 0.02
    assert Worn().feed(samples) == []


def test_what_is_charged_is_known_sooner_not_to_be_worn() -> None:
    worn = Worn()
    worn.charging = True
    [event] = worn.feed(table(CHARGED_S + 60))
    assert event.kind == "not_worn"


def test_what_is_put_on_is_worn_and_told_once() -> None:
    body = Body(1)
    body.put_on()
    worn = Worn(worn=False)
    assert kinds(worn.feed(body.take(60 * SECOND))) == ["worn"]
    assert worn.feed(body.take(60 * SECOND)) == []


def test_a_gap_in_the_stream_does_not_begin_the_time_on_the_table_anew() -> None:
    worn, samples = Worn(), table(NOT_WORN_S + 120)
    found = worn.feed(samples[: 2000 * SECOND])
    worn.interrupt()
    assert kinds(found + worn.feed(samples[2000 * SECOND :])) == ["not_worn"]


def test_who_fell_and_lies_as_still_as_a_table_is_not_taken_for_one() -> None:
    worn = Worn(worn=True)
    worn.fell()
    assert worn.feed(table(2 * NOT_WORN_S)) == []


@pytest.mark.parametrize(
    ("what", "rate_hz", "range_g"),
    [("drop", 50, None), ("drop", 50, 2.0), ("drop", 10, 2.0), ("throw", 50, None), ("throw", 25, 4.0)],
)
@pytest.mark.parametrize("seed", range(4))
def test_a_device_that_is_dropped_or_thrown_is_known(what: str, seed: int, rate_hz: float, range_g: float) -> None:
    events = Worn(worn=True).feed(happens(what, seed, rate_hz, range_g))
    assert kinds(events) == ["dropped", "not_worn"]
    assert 20 * SECOND <= events[0].sample <= 22 * SECOND
    assert events[1].sample <= events[0].sample + 8 * SECOND
    assert events[0].flight_ms >= 200


@pytest.mark.parametrize("what", ["fall", "take_off"])
@pytest.mark.parametrize("seed", range(8))
def test_neither_a_fall_nor_laying_it_down_is_a_drop(what: str, seed: int) -> None:
    assert "dropped" not in kinds(Worn(worn=True).feed(happens(what, seed)))


def test_a_noisy_sensor_cannot_say_that_only_the_device_fell() -> None:
    samples = happens("drop", 1)
    samples = samples + np.random.default_rng(1).normal(0, 0.012, samples.shape)
    assert Worn(worn=True).feed(samples) == []


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["drop", "throw", "fall"]), st.lists(st.integers(0, 2000), max_size=30))
def test_the_same_to_the_last_bit_however_the_samples_are_cut(what: str, cuts: list[int]) -> None:
    samples = happens(what, 3)
    worn = Worn(worn=True)
    cut = [e for a, b in pairwise([0, *sorted(cuts), len(samples)]) for e in worn.feed(samples[a:b])]
    assert cut == Worn(worn=True).feed(samples)


def seen(watch: Watch, samples: Samples) -> list[str]:
    times = np.arange(len(samples), dtype=np.int64) * (SECOND_NS // RATE_HZ)
    found = watch.feed(times, samples)
    told = [
        (one.at_ns, one.event.kind)
        for one in found
        if isinstance(one, Told) and one.event.kind in ("fall", "recovered")
    ]
    return [name for _, name in told] + [f"{one.metric} {one.value:g}" for one in found if isinstance(one, State)]


@pytest.mark.parametrize("what", ["drop", "throw"])
@pytest.mark.parametrize("seed", range(4))
def test_whoever_drops_her_device_and_picks_it_up_has_neither_fallen_nor_recovered(what: str, seed: int) -> None:
    body = Body(seed)
    body.doing = Doing.WALKING
    pieces = [body.take(30 * SECOND)]
    getattr(body, what)()
    pieces.append(body.take(30 * SECOND))
    body.put_on()
    pieces.append(body.take(60 * SECOND))
    assert seen(Watch(), np.concatenate(pieces)) == ["worn 1", "device_dropped 1", "worn 0", "worn 1"]


def test_who_stirs_where_the_device_was_taken_to_lie_alone_has_fallen_after_all() -> None:
    samples = happens("drop", 2)
    lying = np.repeat(samples[-SECOND:].mean(axis=0)[None], 40 * SECOND, axis=0)
    lying = lying + np.random.default_rng(2).normal(0, 0.004, lying.shape)
    stirs = lying.copy()
    stirs[10 * SECOND :, 0] += 0.05
    watch = Watch(threshold=0.01)
    assert "fall" not in seen(watch, samples)
    later = np.arange(len(samples), len(samples) + len(stirs), dtype=np.int64) * (SECOND_NS // RATE_HZ)
    found = watch.feed(later, stirs)
    assert [one.event.kind for one in found if isinstance(one, Told)] == ["fall"]
    assert [(one.metric, one.value) for one in found if isinstance(one, State)] == [("worn", 1.0)]


def test_what_is_knocked_off_a_table_where_it_lay_is_no_fall() -> None:
    body = Body(5)
    body.take_off()
    watch = Watch(worn=False)
    pieces = [body.take(120 * SECOND)]
    body.drop(0.1)
    pieces.append(body.take(30 * SECOND))
    assert seen(watch, np.concatenate(pieces)) == []


def fallen_out_of_a_sleep_as_sound_as_a_table(then: Samples) -> list[str]:
    """Nobody was thought to wear it; a fall, then as still as a table, and what comes then."""
    fall = happens("fall", 6)
    blow = int(np.linalg.norm(fall, axis=1).argmax())
    fell = fall[blow - 2 * SECOND : blow + SECOND]
    lying = fell[-10:].mean(axis=0) + table(20, 0.002) - table(20, 0.0)
    watch = Watch(threshold=0.01, worn=False)
    return seen(watch, np.concatenate([table(120), fell, lying, lying[-SECOND:].mean(axis=0) + then]))


def test_who_was_thought_not_to_wear_it_and_stirs_after_a_blow_has_fallen() -> None:
    stirs = np.random.default_rng(2).normal([0.05, 0, 0], 0.004, (15 * SECOND, 3))
    assert "fall" in fallen_out_of_a_sleep_as_sound_as_a_table(stirs)


def test_what_nobody_wore_and_does_not_stir_has_not_fallen() -> None:
    assert "fall" not in fallen_out_of_a_sleep_as_sound_as_a_table(table(15) - table(15, 0.0))


def test_who_puts_it_on_and_falls_at_once_has_fallen() -> None:
    body = Body(6)
    body.take_off()
    pieces = [body.take(120 * SECOND)]
    body.put_on()
    pieces.append(body.take(12 * SECOND))
    body.fall()
    pieces.append(body.take(20 * SECOND))
    assert "fall" in seen(Watch(worn=False), np.concatenate(pieces))


@pytest.mark.shared
@pytest.mark.parametrize("name", FALLS)
def test_no_recorded_fall_is_taken_for_a_dropped_device_even_of_who_lies_as_if_dead(shared: Path, name: str) -> None:
    z = np.load(shared / "data" / "fall" / f"{name}_dev.npz")
    acceleration, scale, step_ns = z["acc"], float(z["scale"]), SECOND_NS / float(z["fs"])
    dead = np.random.default_rng(0).normal(0, 0.002, (8 * SECOND, 3))
    for start, length in zip(z["start"][z["is_fall"]], z["length"][z["is_fall"]], strict=True):
        samples = acceleration[start : start + length] * scale
        even = Resampler(RATE_HZ).feed((np.arange(length) * step_ns).astype(np.int64), samples)
        after = int(np.linalg.norm(even, axis=1).argmax()) + SECOND
        for fallen in (even, np.concatenate([even[:after], even[:after][-5:].mean(axis=0) + dead])):
            assert "dropped" not in kinds(Worn(worn=True).feed(fallen))


AT = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)


def charged(levels: list[float], every: timedelta = timedelta(minutes=10)) -> list[bool]:
    charging = Charging()
    return [charging.level(level, AT + n * every) for n, level in enumerate(levels)]


def test_a_battery_that_rises_by_some_percent_is_charged_until_it_falls() -> None:
    assert charged([40, 41, 42, 43, 60, 100, 100, 99]) == [False, False, False, True, True, True, True, False]


def test_a_gauge_that_wavers_or_recovers_over_days_is_not_charged() -> None:
    assert not any(charged([40, 41, 40, 42, 41, 42, 40]))
    assert not any(charged([40, 41, 42, 43, 44], timedelta(hours=3)))


def test_what_is_worn_again_is_not_charged_any_more() -> None:
    charging = Charging()
    for n, level in enumerate((90, 95, 100)):
        charging.level(level, AT + n * timedelta(minutes=10))
    charging.worn()
    assert not charging.now
    assert not charging.level(100, AT + timedelta(hours=1))
