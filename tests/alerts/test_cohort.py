"""The made-up cohort: as the literature has old people, the same whoever is made beside them, and true to its labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.cohort import figures as f
from alerts.cohort import manual
from alerts.cohort.cohort import Chunk, NotACohort, Plan, load, make, make_residents, save
from alerts.cohort.draws import Draws
from alerts.cohort.episodes import Episodes, episodes
from alerts.cohort.figures import figures
from alerts.cohort.instruments import DEVICES, Fault
from alerts.cohort.kinds import CODES, KINDS
from alerts.cohort.people import People, people
from alerts.measurements import Batch
from devices.readings import METRICS, METRICS_BY_CODE, Kind, Quality

PLAN = Plan(400, 120, seed=11)
HOURS = np.timedelta64(1, "h")
COLUMNS = [field.name for field in fields(Batch)]


@pytest.fixture(scope="module")
def street() -> list[Chunk]:
    return list(make(PLAN, 200))


@pytest.fixture(scope="module")
def crowd() -> People:
    number = np.arange(1, 20_001, dtype=np.int32)
    return people(Draws(5, number), number)


def of(chunk: Chunk, metric: str, *, faultless: bool = True) -> Batch:
    mine = chunk.batch.metric == METRICS[metric].code
    return chunk.batch[np.flatnonzero(mine & (chunk.fault == 0) if faultless else mine)]


def values(street: list[Chunk], metric: str) -> NDArray[np.float64]:
    return np.concatenate([of(chunk, metric).value for chunk in street])


def by_resident(batch: Batch) -> Iterator[Batch]:
    order = np.argsort(batch.resident, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(batch.resident[order])) + 1):
        yield batch[part]


def local(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """The hour of the day where they live."""
    here = times + 8 * HOURS
    return (here - here.astype("datetime64[D]")) / HOURS


# Random numbers


def test_the_draws_are_even_and_normal() -> None:
    draws = Draws(1, np.arange(2000))
    even, normal = draws.uniform("a", 100), draws.normal("b", 100)
    assert 0 < even.min() < even.max() < 1
    assert even.mean() == pytest.approx(0.5, abs=0.005)
    assert even.std() == pytest.approx(12**-0.5, abs=0.003)
    assert normal.mean() == pytest.approx(0, abs=0.01)
    assert normal.std() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(even[:-1, 0], even[1:, 0])[0, 1] == pytest.approx(0, abs=0.08)
    assert np.corrcoef(even[:, 0], even[:, 1])[0, 1] == pytest.approx(0, abs=0.08)


def test_a_number_can_be_had_without_those_before_it() -> None:
    draws = Draws(3, np.array([4, 9]))
    assert draws.uniform_at("x", np.array([1, 0]), np.array([17, 3])).tolist() == [
        draws.uniform("x", 20)[1, 17],
        draws.uniform("x", 20)[0, 3],
    ]


def test_residents_purposes_and_seeds_have_numbers_of_their_own() -> None:
    one = Draws(3, np.array([4, 5])).uniform("x", 2)
    assert len(np.unique(one)) == 4
    assert not np.isin(Draws(3, np.array([4])).uniform("y", 2), one).any()
    assert not np.isin(Draws(4, np.array([4])).uniform("x", 2), one).any()


def test_as_many_come_as_are_expected() -> None:
    count = Draws(1, np.arange(50_000)).poisson("count", np.full(50_000, 1.7), 12)
    assert count.mean() == pytest.approx(1.7, abs=0.02)
    assert count.var() == pytest.approx(1.7, abs=0.05)


# People


def test_people_have_what_surveys_say_old_people_have(crowd: People) -> None:
    assert crowd.age.min() >= 65
    assert crowd.age.max() <= 95
    assert (crowd.age < 70).mean() == pytest.approx(f.AGED_65, abs=0.01)
    assert crowd.woman.mean() == pytest.approx(f.WOMEN, abs=0.01)
    for code, share in (("hypertension", f.HYPERTENSION), ("diabetes", f.DIABETES), ("copd", f.COPD)):
        assert crowd.has[code].mean() == pytest.approx(share, abs=0.012)
    oldest = crowd.age >= 85
    assert crowd.has["heart_failure"][oldest].mean() == pytest.approx(f.HEART_FAILURE_85, abs=0.03)
    assert crowd.has["atrial_fibrillation"][oldest].mean() == pytest.approx(f.FIBRILLATION_85, abs=0.03)
    assert not (crowd.has["insulin"] & ~crowd.has["diabetes"]).any()
    assert not (crowd.has["hypercapnic"] & ~crowd.has["copd"]).any()


def test_usual_pressure_differs_between_people_as_in_ohasama(crowd: People) -> None:
    """123.4 ± 15.1 over 75.7 ± 9.0 at 62 (Kato 2010); these are older, so higher over lower."""
    systolic, diastolic = crowd.usual["systolic"], crowd.usual["diastolic"]
    assert 126 < systolic.mean() < 136
    assert systolic.std() == pytest.approx(15.1, abs=2.5)
    assert diastolic.mean() == pytest.approx(75.7, abs=3)
    assert diastolic.std() == pytest.approx(9.0, abs=1.5)
    assert 0.4 < np.corrcoef(systolic, diastolic)[0, 1] < 0.75


def test_usual_oxygen_is_low_in_as_many_as_in_tromso(crowd: People) -> None:
    """Of those with COPD 5.2 % at 92 and below and 72.3 % at 96 and above; of the others 0.8 % and 89.4 % (Vold 2015).

    More than these below are those who keep carbon dioxide or have oxygen: severe disease that a survey meets seldom.
    """
    spo2, severe = np.rint(crowd.usual["spo2"]), np.zeros(len(crowd), np.bool_)
    for code in ("hypercapnic", "home_oxygen"):
        severe |= crowd.has[code]
    well, ill = spo2[~crowd.has["copd"]], spo2[crowd.has["copd"] & ~severe]
    assert (well <= 92).mean() == pytest.approx(0.008, abs=0.008)
    assert (well >= 96).mean() == pytest.approx(0.894, abs=0.05)
    assert (ill <= 92).mean() == pytest.approx(0.052, abs=0.025)
    assert (ill >= 96).mean() == pytest.approx(0.723, abs=0.06)


# Readings


def test_every_reading_is_plausible(street: list[Chunk]) -> None:
    for chunk in street:
        for code in np.unique(chunk.batch.metric).tolist():
            metric, value = METRICS_BY_CODE[code], chunk.batch.value[chunk.batch.metric == code]
            assert metric.low <= value.min() <= value.max() <= metric.high, metric.name


def test_every_metric_of_old_people_at_home_is_measured(street: list[Chunk]) -> None:
    found = {METRICS_BY_CODE[code].name for chunk in street for code in np.unique(chunk.batch.metric).tolist()}
    vitals = {
        "systolic",
        "diastolic",
        "pulse",
        "spo2",
        "body_temperature",
        "body_weight",
        "glucose",
        "respiratory_rate",
    }
    events = {"fall", "fall_recovered", "fall_confirmed", "said_well", "long_lie", "help_call", "inactivity"}
    assert vitals | events | {"battery", "gateway_silence", "device_silence", "not_worn", "movement"} <= found


def test_a_morning_reading_a_day_varies_as_in_ohasama(street: list[Chunk]) -> None:
    """8.6 ± 3.1 over 5.8 ± 2.0 mmHg in four weeks (Kato 2010): the mean of everybody's standard deviation."""
    for metric, spread in (("systolic", 8.6), ("diastolic", 5.8)):
        found = []
        for chunk in street:
            for mine in by_resident(of(chunk, metric)):
                day = (mine.at + 8 * HOURS).astype("datetime64[D]")
                early = (local(mine.at) < 12) & (mine.at < PLAN.start + np.timedelta64(29, "D"))
                early &= mine.at > PLAN.start + np.timedelta64(2, "D")
                _, first = np.unique(day[early], return_index=True)
                if len(first) >= 10:
                    found.append(mine.value[early][first].std(ddof=1))
        assert np.mean(found) == pytest.approx(spread, rel=0.12), metric


def test_who_is_treated_is_lower_in_the_evening_and_winter_is_higher_than_summer() -> None:
    plan = Plan(150, 365, seed=4, begin=date(2026, 1, 1))
    chunk = make_residents(plan, np.arange(1, 151, dtype=np.int32))
    systolic = of(chunk, "systolic")
    evening = local(systolic.at) > 14
    assert 2 < systolic.value[~evening].mean() - systolic.value[evening].mean() < 13
    month = systolic.at.astype("datetime64[M]").astype(int) % 12
    cold, warm = systolic.value[np.isin(month, (0, 1)) & ~evening], systolic.value[np.isin(month, (6, 7)) & ~evening]
    assert cold.mean() - warm.mean() == pytest.approx(f.SEASON, abs=3)


def test_temperature_and_weight_are_those_of_old_people(street: list[Chunk]) -> None:
    assert values(street, "body_temperature").mean() == pytest.approx(36.35, abs=0.2)
    assert np.percentile(values(street, "body_temperature"), 2.5) > 35.0
    assert 54 < values(street, "body_weight").mean() < 70


def test_weight_two_weeks_apart_differs_as_in_those_who_stayed_well() -> None:
    """A standard deviation of 1.1 kg (Zhang 2009, those admitted for something else)."""
    plan = Plan(800, 100, seed=6)
    found = []
    for chunk in make(plan, 400):
        ill = set(chunk.labels.resident[chunk.labels.kind == "decompensation"].tolist())
        for mine in by_resident(of(chunk, "body_weight")):
            if int(mine.resident[0]) in ill or len(mine) < 2:
                continue
            days = (mine.at + 8 * HOURS).astype("datetime64[D]").astype(np.int64)
            _, one, other = np.intersect1d(days, days - 14, return_indices=True)
            found.extend((mine.value[other] - mine.value[one])[:2].tolist())
    inner = np.clip(found, *np.percentile(found, [1, 99]))
    assert np.std(inner) == pytest.approx(1.1, abs=0.25)


def test_measured_times_fit_the_day_and_readings_arrive_after_them(street: list[Chunk]) -> None:
    for chunk in street:
        systolic = of(chunk, "systolic")
        hour = local(systolic.at)
        assert ((hour > 4) & (hour < 24)).mean() > 0.99
        assert chunk.batch.received is not None
        waited = chunk.batch.received - chunk.batch.at
        assert waited.min() >= np.timedelta64(0)
        assert 0.005 < (waited > HOURS).mean() < 0.1
        kept = (chunk.batch.quality & Quality.FROM_MEMORY) > 0
        assert kept[waited > 2 * HOURS].mean() > 0.5


def test_irregular_pulses_are_flagged_as_a_real_cuff_does() -> None:
    """80.6 % of those with atrial fibrillation, 1.3 % of the others (Chan 2017)."""
    plan = Plan(600, 40, seed=2)
    number = np.arange(1, 601, dtype=np.int32)
    chunk, who = make_residents(plan, number), people(Draws(2, number), number)
    known = dict(zip(number.tolist(), who.permanent.tolist(), strict=True))
    perhaps = set(chunk.labels.resident[chunk.labels.kind == "fibrillation"].tolist())
    perhaps |= {r for r, held in chunk.groups.items() if "atrial_fibrillation" in held and not known[r]}
    systolic = of(chunk, "systolic")
    flagged = (systolic.quality & Quality.IRREGULAR_PULSE) > 0
    always = np.array([known[r] for r in systolic.resident.tolist()])
    never = ~always & ~np.isin(systolic.resident, list(perhaps))
    assert flagged[always].mean() == pytest.approx(0.806, abs=0.03)
    assert flagged[never].mean() == pytest.approx(0.013, abs=0.004)


def test_wrong_readings_are_known_as_such_and_half_of_them_to_the_cuff(street: list[Chunk]) -> None:
    fault = np.concatenate([chunk.fault[chunk.batch.metric == METRICS["systolic"].code] for chunk in street])
    quality = np.concatenate([of(chunk, "systolic", faultless=False).quality for chunk in street])
    assert (fault == Fault.MOVED).mean() == pytest.approx(f.CUFF_MOVED, abs=0.006)
    told = (quality & (Quality.BODY_MOVEMENT | Quality.CUFF_TOO_LOOSE)) > 0
    assert told[np.isin(fault, (Fault.MOVED, Fault.LOOSE))].mean() == pytest.approx(f.CUFF_TELLS, abs=0.06)
    assert not told[fault == Fault.NONE].any()


def test_each_device_has_a_number_of_its_own(street: list[Chunk]) -> None:
    for chunk in street:
        silence = chunk.batch.metric == METRICS["gateway_silence"].code
        assert (chunk.batch.device[silence] == -chunk.batch.resident[silence]).all()
        assert (chunk.batch.device[~silence] // DEVICES == chunk.batch.resident[~silence]).all()


# The same people, however they are made


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


def test_a_seed_makes_the_same_people_again_and_another_makes_others() -> None:
    number = np.arange(1, 40, dtype=np.int32)
    plan = Plan(40, 30, seed=9)
    assert same(make_residents(plan, number).batch, make_residents(plan, number).batch)
    assert not same(make_residents(plan, number).batch, make_residents(Plan(40, 30, seed=10), number).batch)


def test_a_resident_is_the_same_in_whichever_company_she_is_made() -> None:
    plan = Plan(60, 45, seed=3)
    whole = next(make(plan, 60))
    for chunk in make(plan, 17):
        for resident in chunk.residents.tolist():
            mine, hers = whole.batch.resident == resident, chunk.batch.resident == resident
            assert same(whole.batch[np.flatnonzero(mine)], chunk.batch[np.flatnonzero(hers)])
            assert np.array_equal(whole.fault[mine], chunk.fault[hers])
            asked, again = whole.answers.resident == resident, chunk.answers.resident == resident
            assert same(whole.answers[np.flatnonzero(asked)], chunk.answers[np.flatnonzero(again)])
            one, other = whole.labels.resident == resident, chunk.labels.resident == resident
            assert np.array_equal(whole.labels.onset[one], chunk.labels.onset[other])
            assert whole.groups[resident] == chunk.groups[resident]


def test_a_cohort_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(30, 20, seed=8, begin=date(2025, 6, 1))
    made = list(make(plan, 20))
    assert save(tmp_path / "a.npz", plan, iter(made)) == sum(len(chunk.batch) for chunk in made)
    found, chunks = load(tmp_path / "a.npz")
    assert found == plan
    for one, other in zip(made, chunks, strict=True):
        assert same(one.batch, other.batch)
        assert same(one.answers, other.answers)
        assert one.groups == other.groups
        assert np.array_equal(one.fault, other.fault)
        assert all(
            np.array_equal(getattr(one.labels, g.name), getattr(other.labels, g.name)) for g in fields(one.labels)
        )


def test_what_is_no_cohort_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(NotACohort, match="is not a cohort"):
        load(tmp_path / "a.npz")


def test_a_cohort_of_another_version_is_refused_with_its_seed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", plan=np.array([1, 10, 5, 77, 739_000, 1]))
    with pytest.raises(NotACohort, match="make it again with its seed 77"):
        load(tmp_path / "a.npz")


def test_readings_come_in_order_of_arrival(street: list[Chunk]) -> None:
    for chunk in street:
        for batch in (chunk.batch, chunk.answers):
            assert batch.received is not None
            assert (np.diff(batch.received) >= np.timedelta64(0)).all()
            assert PLAN.start <= batch.at.min()
            assert batch.received.max() <= PLAN.end


# Labels


@pytest.fixture(scope="module")
def year() -> Chunk:
    return make_residents(Plan(700, 365, seed=12), np.arange(1, 701, dtype=np.int32))


def test_every_kind_of_episode_befalls_somebody_in_order(year: Chunk) -> None:
    labels = year.labels
    assert set(CODES) == set(labels.kind.tolist())
    assert (labels.onset <= labels.peak).all()
    assert (labels.peak <= labels.end).all()


@pytest.fixture(scope="module")
def fates(crowd: People) -> Episodes:
    """What befalls the crowd in 60 days."""
    return episodes(Draws(5, crowd.number), crowd, 60)


@pytest.mark.parametrize(
    ("kind", "group", "yearly"),
    [
        ("decompensation", "heart_failure", f.DECOMPENSATION),
        ("exacerbation", "copd", f.EXACERBATION),
        ("crisis", "hypertension", f.CRISIS),
        ("hyperglycaemia", "diabetes", f.HYPERGLYCAEMIA),
    ],
)
def test_illnesses_are_as_frequent_as_their_sources_say(
    crowd: People, fates: Episodes, kind: str, group: str, yearly: float
) -> None:
    found = fates.of(kind)
    assert crowd.has[group][found.row].all()
    expected = crowd.has[group].sum() * yearly * 60 / 365.25
    assert len(found) == pytest.approx(expected, abs=4 * np.sqrt(1.5 * expected))


def during(chunk: Chunk, kind: str, metric: str, *, share: float = 1.0) -> tuple[NDArray[np.float64], ...]:
    """Each episode's mean at its worst, and the same resident's median over the whole time."""
    batch, labels = of(chunk, metric), chunk.labels
    ill, usual = [], []
    for i in np.flatnonzero(labels.kind == kind).tolist():
        mine = batch.resident == labels.resident[i]
        length = labels.end[i] - labels.peak[i]
        here = mine & (batch.at >= labels.peak[i] - length / 4) & (batch.at <= labels.peak[i] + length / 3 * share)
        if here.any():
            ill.append(batch.value[here].mean())
            usual.append(np.median(batch.value[mine]))
    return np.array(ill), np.array(usual)


@pytest.mark.parametrize(
    ("kind", "metric", "least", "most"),
    [
        ("crisis", "systolic", 25, 80),
        ("overtreated", "systolic", -50, -15),
        ("exacerbation", "spo2", -4, -0.7),
        ("exacerbation", "pulse", 3, 16),
        ("infection", "body_temperature", 0.4, 2.0),
        ("infection", "pulse", 4, 22),
        ("fibrillation", "pulse", 8, 45),
        ("hyperglycaemia", "glucose", 3, 12),
        ("hypoglycaemia", "glucose", -8, -2.5),
    ],
)
def test_readings_follow_their_labels(year: Chunk, kind: str, metric: str, least: float, most: float) -> None:
    ill, usual = during(year, kind, metric)
    assert len(ill), "nothing was measured"
    assert least < (ill - usual).mean() < most


def test_the_old_may_have_hardly_a_fever(year: Chunk) -> None:
    """20 to 30 % (Norman 2000), and a few are colder; the usual temperature is 36.35."""
    ill, _ = during(year, "infection", "body_temperature", share=0.6)
    assert 0.2 < (ill < 37.0).mean() < 0.5
    assert (ill > 37.4).mean() > 0.35


def test_who_stands_up_says_so_and_is_measured_then(year: Chunk) -> None:
    stood, systolic, labels = of(year, "stood_up"), of(year, "systolic"), year.labels
    falls = set(labels.resident[labels.kind == "orthostatic"].tolist())
    change: dict[bool, list[float]] = {True: [], False: []}
    for resident, at in zip(stood.resident.tolist()[::12], stood.at[::12], strict=True):
        mine = systolic.resident == resident
        after = mine & (systolic.at > at) & (systolic.at < at + np.timedelta64(3, "m"))
        before = mine & (systolic.at < at) & (systolic.at > at - np.timedelta64(5, "m"))
        if after.any() and before.any():
            change[resident in falls].append(float(systolic.value[after][0] - systolic.value[before][-1]))
    assert np.mean(change[True]) == pytest.approx(f.ORTHOSTATIC_FALL, abs=4)
    assert np.mean(change[False]) == pytest.approx(f.STANDING, abs=4)


def test_falls_are_told_as_the_wearable_tells_them(year: Chunk) -> None:
    fall, labels = of(year, "fall"), year.labels
    falls = labels[np.isin(labels.kind, ("fall", "fall_down"))]
    told = np.isin(falls.resident.astype(np.int64) << 40 | falls.onset.astype("datetime64[s]").astype(np.int64),
                   fall.resident.astype(np.int64) << 40 | fall.at.astype("datetime64[s]").astype(np.int64))  # fmt: skip
    expected = f.WEARS * f.FALL_WORN * f.FALL_TOLD
    assert told.mean() == pytest.approx(expected, abs=0.07)
    false = year.fault[year.batch.metric == METRICS["fall"].code] == Fault.MISTAKE
    assert false.sum() / (700 * f.WEARS * 52.18) == pytest.approx(f.FALL_FALSE, rel=0.2)


def test_long_lies_are_told_of_those_who_lie_long(year: Chunk) -> None:
    lies, labels = of(year, "long_lie"), year.labels[year.labels.kind == "fall_down"]
    for resident, at in zip(lies.resident.tolist(), lies.at, strict=True):
        hers = labels[labels.resident == resident]
        assert ((hers.onset < at) & (at <= hers.end)).any()


def test_a_battery_is_low_only_while_it_runs_down(year: Chunk) -> None:
    charge, labels = of(year, "battery"), year.labels[year.labels.kind == "battery"]
    low = charge[np.flatnonzero(charge.value < 18)]
    assert len(low) > 100
    for resident, at in zip(low.resident.tolist(), low.at, strict=True):
        hers = labels[labels.resident == resident]
        assert ((hers.onset <= at) & (at <= hers.end)).any()


def test_an_instrument_without_power_measures_nothing(year: Chunk) -> None:
    labels = year.labels[year.labels.kind == "cuff_empty"]
    systolic = of(year, "systolic")
    assert len(labels) > 20
    for resident, onset, end in zip(labels.resident, labels.onset, labels.end, strict=True):
        assert not ((systolic.resident == resident) & (systolic.at >= onset + HOURS) & (systolic.at < end)).any()


def test_behind_a_silent_gateway_readings_wait(year: Chunk) -> None:
    labels, batch = year.labels[year.labels.kind == "outage"], year.batch
    assert batch.received is not None
    of_service = np.isin(
        batch.metric, [METRICS[name].code for name in ("gateway_silence", "device_silence", "not_worn")]
    )
    order = np.flatnonzero(~of_service)
    for resident, onset, end in zip(labels.resident[:200], labels.onset, labels.end, strict=False):
        mine = order[batch.resident[order] == resident]
        assert not ((batch.received[mine] >= onset) & (batch.received[mine] < end)).any()


# Sources


def test_every_figure_says_where_it_comes_from() -> None:
    for figure in [one for topic in figures().values() for one in topic]:
        assert figure.unit
        assert figure.what
        named = re.search(r"(19|20)\d\d|Our own|Rotterdam|ISO \d", figure.source)
        assert named or figure.source.startswith("assumed"), figure.what


def test_the_manual_has_every_figure_and_every_kind_of_episode() -> None:
    """``python -m bench.protocols --manual`` prints what belongs there."""
    said = Path("docs/cohort.md").read_text(encoding="utf-8")
    assert manual.kinds() in said
    assert manual.sources() in said


def test_kinds_move_what_can_be_measured() -> None:
    for kind in KINDS.values():
        for metric in kind.moves:
            name = metric.removeprefix("silence of ").split(" after ")[0]
            assert name == "irregular_pulse" or METRICS[name].kind in Kind
