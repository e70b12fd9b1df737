"""A suspected fall is asked about, waited for and weighed, and ends in one outcome that is kept, or stays open as a lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.falls.certainty import Ask, Certainty, Enough, Patience
from devices.homes import Homes
from devices.outbox import Outbox
from devices.readings import Quality, Reading
from devices.timekeeper import Sources, Timekeeper
from tests.devices.test_first_aid import fill

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BAND, PENDANT, BUTTON, HALL, DOOR, BED, CUFF = (f"C0:00:00:00:00:0{n}" for n in range(1, 8))
SECOND = timedelta(seconds=1)
DETECTED_S = 8.0
"""How long after the impact a fall is told."""


@dataclass
class Flat:
    """A home with one who may fall, and a clock by which it is judged once a second."""

    certainty: Certainty = field(default_factory=Certainty)
    s: float = 0.0
    asked: list[float] = field(default_factory=list)
    enough: list[tuple[float, bool]] = field(default_factory=list)
    told: list[tuple[float, Reading]] = field(default_factory=list)
    kept: list[Reading] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    """When it became open whether somebody fell, and when that was settled."""
    settled: list[float] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return NOW + self.s * SECOND

    def hear(
        self,
        metric: str,
        device: str = BAND,
        value: float = 1.0,
        *,
        ago_s: float = 0.0,
        quality: Quality = Quality.NONE,
    ) -> Reading:
        reading = Reading(device, metric, value, self.now - ago_s * SECOND, self.now, quality)
        was_open = self.certainty.is_urgent
        self.kept.append(self.certainty.see(reading, self.now))
        if not was_open and self.certainty.is_urgent and metric == "fall":
            self.opened.append(self.s)
        if was_open and "after_fall_s" in self.kept[-1].detail:
            self.settled.append(self.s)
        return self.kept[-1]

    def fall(self, device: str = BAND, probability: float = 0.8, *, ago_s: float = DETECTED_S) -> Reading:
        return self.hear("fall", device, probability, ago_s=ago_s)

    def judge(self) -> None:
        for step in self.certainty.judge(self.now):
            if isinstance(step, Ask):
                self.asked.append(self.s)
            elif isinstance(step, Enough):
                self.enough.append((self.s, step.well))
            else:
                self.told.append((self.s, step))
                self.settled += [self.s] * (step.metric == "fall_confirmed")

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.judge()
            self.s += 1
        self.judge()

    def restart(self) -> None:
        self.certainty = Certainty(self.certainty.memory())

    @property
    def outcomes(self) -> list[tuple[float, str]]:
        return [(s, reading.metric) for s, reading in self.told]

    def confirmed(self) -> Reading:
        [(_, reading)] = [(s, r) for s, r in self.told if r.metric == "fall_confirmed"]
        return reading


@pytest.fixture
def flat() -> Flat:
    return Flat()


def test_nobody_who_has_not_fallen_is_asked_anything(flat: Flat) -> None:
    for metric, device in (("help_call", BUTTON), ("said_well", BAND), ("fall_recovered", BAND), ("movement", HALL)):
        flat.hear(metric, device)
    flat.wait(100)
    assert flat.asked == flat.enough == flat.told == []
    assert not flat.certainty.is_urgent


def test_who_does_not_answer_two_questions_has_fallen(flat: Flat) -> None:
    fall = flat.fall()
    assert fall is flat.kept[0]
    assert flat.certainty.is_urgent
    flat.wait(60)
    assert flat.asked == [0, 15]
    assert flat.enough == [(30, False)]
    assert flat.outcomes == [(30, "fall_confirmed")]
    told = flat.confirmed()
    assert (told.device, told.measured_at, told.quality) == (BAND, NOW + 30 * SECOND, Quality.NO_DEVICE_TIME)
    assert told.detail == {"waited_s": 30.0, "after_fall_s": 38.0, "suspected": 0.8}
    assert 0.9 < told.value < 0.95
    assert not flat.certainty.is_urgent


@pytest.mark.parametrize("sign", ["said_well", "fall_recovered"])
def test_an_answer_ends_it_and_is_kept_with_the_time_since_the_fall(flat: Flat, sign: str) -> None:
    flat.fall()
    flat.wait(5)
    assert flat.hear(sign).detail == {"after_fall_s": 13.0}
    flat.wait(7200)
    assert flat.asked == [0]
    assert flat.enough == [(5, True)]
    assert flat.told == []


@pytest.mark.parametrize("waited_s", [5, 300])
def test_an_answer_on_her_page_ends_the_fall_of_which_she_was_asked(flat: Flat, waited_s: int) -> None:
    fell_at = flat.fall().measured_at
    flat.wait(waited_s)
    flat.certainty.answered(fell_at)
    flat.wait(3600)
    assert flat.enough[-1] == (waited_s, True)
    assert "long_lie" not in [metric for _, metric in flat.outcomes]


def test_an_answer_on_her_page_is_none_for_a_later_fall(flat: Flat) -> None:
    fell_at = flat.fall().measured_at
    flat.wait(60)
    flat.certainty.answered(fell_at)
    flat.fall()
    flat.certainty.answered(fell_at)
    flat.wait(40)
    assert flat.outcomes == [(30, "fall_confirmed"), (90, "fall_confirmed")]


def test_a_press_counts_from_any_device_and_walking_only_from_the_one_that_felt_the_fall(flat: Flat) -> None:
    flat.fall()
    assert flat.hear("fall_recovered", PENDANT).detail == {}
    flat.wait(5)
    assert flat.hear("said_well", PENDANT).detail == {"after_fall_s": 13.0}
    flat.wait(60)
    assert flat.told == []


def test_a_call_for_help_waits_for_nothing(flat: Flat) -> None:
    flat.fall(probability=0.5)
    flat.wait(3)
    flat.hear("help_call", BUTTON)
    flat.wait(30)
    assert flat.outcomes == [(3, "fall_confirmed")]
    assert flat.confirmed().detail["help_call"] == 1
    assert flat.confirmed().value > 0.95


def test_a_call_between_the_blow_and_the_news_of_it_counts_and_one_before_the_blow_does_not(flat: Flat) -> None:
    flat.hear("help_call", BUTTON)
    flat.s = 20
    flat.fall(ago_s=8)
    flat.wait(1)
    assert flat.told == []
    again = Flat(s=5)
    again.hear("help_call", BUTTON)
    again.s = 10
    again.fall(ago_s=8)
    again.judge()
    assert again.outcomes == [(10, "fall_confirmed")]
    assert again.asked == []


@pytest.mark.parametrize("sign", ["said_well", "fall_recovered"])
def test_an_answer_that_was_heard_before_the_fall_is_one_and_an_older_one_is_none(flat: Flat, sign: str) -> None:
    flat.hear(sign)
    flat.s = 5
    flat.fall(ago_s=8)
    flat.wait(60)
    assert flat.asked == flat.told == []
    flat.s = 200
    flat.fall(ago_s=8)
    flat.hear(sign, ago_s=30)
    flat.wait(30)
    assert flat.outcomes == [(230, "fall_confirmed")]


def test_a_long_lie_is_told_three_times_at_most_and_ends_when_she_is_up(flat: Flat) -> None:
    flat.fall(ago_s=0)
    flat.wait(4 * 3600)
    assert flat.outcomes == [(30, "fall_confirmed"), (600, "long_lie"), (1800, "long_lie"), (3600, "long_lie")]
    assert [r.detail["minutes"] for _, r in flat.told[1:]] == [10, 30, 60]
    assert flat.hear("said_well").detail == {"after_fall_s": 4 * 3600}
    assert flat.hear("said_well").detail == {}


@pytest.mark.parametrize("sign", ["said_well", "fall_recovered"])
def test_who_is_up_after_a_fall_was_confirmed_does_not_lie_long(flat: Flat, sign: str) -> None:
    flat.fall()
    flat.wait(120)
    assert flat.hear(sign).detail == {"after_fall_s": 128.0}
    flat.wait(7200)
    assert flat.outcomes == [(30, "fall_confirmed")]
    assert flat.enough[-1] == (120, True)


def test_two_wearables_that_feel_one_blow_are_one_fall_that_is_likelier(flat: Flat) -> None:
    flat.fall(BAND, 0.7)
    flat.wait(3)
    flat.fall(PENDANT, 0.8, ago_s=DETECTED_S + 4)
    flat.wait(60)
    assert flat.asked == [0, 15]
    assert flat.outcomes == [(30, "fall_confirmed")]
    alone = Flat()
    alone.fall(BAND, 0.8)
    alone.wait(30)
    assert flat.confirmed().value > alone.confirmed().value
    assert (flat.confirmed().device, flat.confirmed().detail["second_device"]) == (PENDANT, 0.7)
    assert flat.confirmed().detail["after_fall_s"] == 39.0


def test_of_two_wearables_that_suspect_a_fall_both_must_feel_walking(flat: Flat) -> None:
    """They may be a couple's: that one of them walks does not say that the other is up."""
    flat.fall(BAND)
    flat.fall(PENDANT)
    assert flat.hear("fall_recovered", BAND).detail == {}
    flat.wait(30)
    assert flat.outcomes == [(30, "fall_confirmed")]
    assert flat.hear("fall_recovered", PENDANT).detail == {"after_fall_s": 38.0}
    flat.wait(7200)
    assert len(flat.told) == 1


def test_a_wearable_is_judged_by_its_own_blow(flat: Flat) -> None:
    flat.fall(BAND)
    flat.wait(12)
    flat.fall(PENDANT, ago_s=2)
    flat.hear("fall_recovered", BAND, ago_s=3)  # before the pendant's blow, after its own
    flat.wait(6)
    assert flat.hear("fall_recovered", PENDANT).detail == {"after_fall_s": 26.0}
    flat.wait(7200)
    assert flat.told == []


def test_one_who_falls_again_before_the_answer_is_due_is_not_given_more_time(flat: Flat) -> None:
    flat.fall()
    flat.wait(20)
    flat.fall(ago_s=2)
    flat.hear("fall_recovered", ago_s=5)  # of the first fall
    flat.wait(20)
    assert flat.outcomes == [(30, "fall_confirmed")]
    assert flat.confirmed().detail["falls"] == 2


def test_one_who_falls_again_while_she_is_thought_to_lie_is_asked_anew_and_the_lie_goes_on(flat: Flat) -> None:
    flat.fall(ago_s=0)
    flat.wait(300)
    flat.fall(ago_s=0)
    flat.wait(320)
    assert flat.asked == [0, 15, 300, 315]
    assert flat.outcomes == [(30, "fall_confirmed"), (330, "fall_confirmed"), (600, "long_lie")]


def test_who_called_for_help_and_falls_again_is_asked_anew(flat: Flat) -> None:
    flat.fall()
    flat.hear("help_call", BUTTON)
    flat.wait(100)
    flat.fall(ago_s=0)
    flat.wait(40)
    assert flat.asked == [100, 115]
    assert flat.outcomes == [(0, "fall_confirmed"), (130, "fall_confirmed")]


def test_a_fall_of_the_next_day_is_not_counted_with_one_that_nobody_ended(flat: Flat) -> None:
    flat.fall(ago_s=0)
    flat.wait(3700)
    flat.s += 86400
    flat.told.clear()
    flat.fall(ago_s=0)
    flat.wait(601)
    assert [(r.metric, r.detail["after_fall_s"]) for _, r in flat.told] == [("fall_confirmed", 30), ("long_lie", 600)]


def test_a_fall_delivered_twice_is_one(flat: Flat) -> None:
    fall = flat.fall()
    flat.hear("said_well")
    flat.certainty.see(fall, flat.now)
    flat.wait(60)
    assert flat.asked == flat.told == []


def test_a_fall_heard_late_is_asked_about_and_its_lie_counts_from_the_blow(flat: Flat) -> None:
    flat.hear("fall", value=0.9, ago_s=1500, quality=Quality.FROM_MEMORY)
    flat.wait(40)
    assert flat.asked == [0, 15]
    assert flat.outcomes == [(30, "fall_confirmed"), (30, "long_lie")]
    assert flat.told[1][1].detail["minutes"] == 25.5


def test_a_fall_whose_time_is_doubted_happened_when_it_was_heard_and_no_doubted_answer_ends_it(flat: Flat) -> None:
    flat.hear("fall", value=0.9, ago_s=86400, quality=Quality.CLOCK_SUSPECT)
    flat.hear("said_well", quality=Quality.CLOCK_SUSPECT)
    flat.wait(40)
    assert flat.outcomes == [(30, "fall_confirmed")]
    assert flat.confirmed().detail["after_fall_s"] == 30


@pytest.mark.parametrize(
    ("metric", "device", "values", "raises"),
    [
        ("movement", HALL, [1], False),
        ("movement", HALL, [0], None),
        ("door", DOOR, [1], False),
        ("door", DOOR, [0, 0], None),
        ("bed", BED, [1], False),
        ("bed", BED, [1, 0], None),
        ("pulse", CUFF, [130], True),
        ("pulse", CUFF, [40], True),
        ("pulse", CUFF, [72], None),
        ("worn", BAND, [0], False),
        ("worn", PENDANT, [0], None),
        ("charging", BAND, [1], False),
        ("charging", BAND, [1, 0], None),
        ("device_dropped", BAND, [1], False),
        ("battery", BAND, [3], None),
    ],
)
def test_what_is_seen_meanwhile_is_weighed_and_ends_nothing(
    flat: Flat, metric: str, device: str, values: Sequence[float], *, raises: bool | None
) -> None:
    alone = Flat()
    for one in (flat, alone):
        one.hear("door", DOOR, 0.0)
        one.s = 10
        one.fall()
    for value in values:
        flat.wait(1)
        flat.hear(metric, device, value)
    for one in (flat, alone):
        one.wait(40 - one.s)
    weighed, plain = flat.confirmed().value, alone.confirmed().value
    assert (None if weighed == plain else weighed > plain) is raises
    assert weighed > 0.35


def test_what_was_seen_before_the_blow_says_nothing_of_it(flat: Flat) -> None:
    flat.hear("movement", HALL)
    flat.s = 20
    flat.fall(ago_s=8)
    flat.hear("movement", HALL, ago_s=9)
    flat.wait(30)
    assert "movement" not in flat.confirmed().detail


def test_a_gateway_that_did_not_listen_when_the_answer_was_due_asks_anew_once(flat: Flat) -> None:
    flat.fall()
    flat.wait(10)
    flat.s = 100
    flat.restart()
    flat.wait(10)
    assert flat.asked == [0, 100]
    flat.s = 200
    flat.restart()
    flat.wait(1)
    assert flat.outcomes == [(200, "fall_confirmed")]


def test_a_clock_that_is_set_neither_forgets_a_fall_nor_waits_for_ever(flat: Flat) -> None:
    flat.fall()
    flat.wait(10)
    flat.s += 1_000_000
    flat.certainty.shift(1_000_000 * SECOND)
    flat.wait(20)
    assert [metric for _, metric in flat.outcomes] == ["fall_confirmed"]
    assert flat.confirmed().detail == {"waited_s": 30.0, "after_fall_s": 38.0, "suspected": 0.8}
    other = Flat(s=100_000)
    other.fall()
    other.wait(10)
    other.s = 0  # set back, and nobody told
    other.wait(40)
    assert other.outcomes == [(30, "fall_confirmed")]


def test_an_answer_from_the_time_before_the_clock_was_set_excuses_no_fall(flat: Flat) -> None:
    flat.hear("said_well")
    flat.s = -86400
    flat.fall()
    flat.wait(30)
    assert flat.outcomes == [(-86370, "fall_confirmed")]


def test_a_wearable_that_is_taken_out_of_the_home_is_waited_for_no_more(flat: Flat) -> None:
    flat.fall(BAND)
    flat.fall(PENDANT)
    flat.certainty.only([])
    flat.wait(30)
    flat.certainty.only([PENDANT])
    flat.hear("fall_recovered", PENDANT)
    flat.fall(BAND, ago_s=-20)
    flat.certainty.only([PENDANT])
    flat.wait(40)
    flat.certainty.only([PENDANT])
    flat.wait(7200)
    assert [metric for _, metric in flat.outcomes] == ["fall_confirmed", "fall_confirmed"]


def test_that_a_wearable_walks_which_is_no_longer_here_says_nothing_of_the_other(flat: Flat) -> None:
    flat.fall(BAND)
    flat.fall(PENDANT)
    flat.hear("fall_recovered", PENDANT)
    flat.wait(30)
    flat.certainty.only([BAND])
    flat.hear("fall_recovered", HALL)
    flat.wait(600)
    assert [metric for _, metric in flat.outcomes] == ["fall_confirmed", "long_lie"]


def test_what_cannot_be_read_is_begun_anew() -> None:
    assert Certainty("{").judge(NOW) == []


EVENTS = st.sampled_from(
    [
        ("fall", BAND, 0.6),
        ("fall", BAND, 0.95),
        ("fall", PENDANT, 0.7),
        ("fall_recovered", BAND, 1.0),
        ("fall_recovered", PENDANT, 1.0),
        ("said_well", BAND, 1.0),
        ("help_call", BUTTON, 1.0),
        ("movement", HALL, 1.0),
        ("bed", BED, 1.0),
        ("pulse", CUFF, 130.0),
        ("worn", BAND, 0.0),
        ("device_dropped", BAND, 1.0),
    ]
)
HAPPENINGS = st.lists(
    st.tuples(EVENTS, st.sampled_from([0, 0, 1, 4, 13, 28, 29, 30, 31, 700]), st.booleans()), max_size=25
)


def live(happenings: list[tuple[tuple[str, str, float], int, bool]], *, forgetful: bool) -> Flat:
    """A home in which all that happens; each fall is told some seconds after its blow. Restarted where it says so."""
    flat = Flat()
    for n, ((metric, device, value), seconds, restarts) in enumerate(happenings):
        flat.s += 1 / 1024  # no two things happen in the same instant
        flat.hear(metric, device, value, ago_s=n % 4 * 2 if metric == "fall" else 0)
        if forgetful and restarts:
            flat.restart()
        flat.wait(seconds)
    flat.wait(40)
    return flat


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_a_restart_changes_nothing(happenings: list[tuple[tuple[str, str, float], int, bool]]) -> None:
    plain, forgetful = live(happenings, forgetful=False), live(happenings, forgetful=True)
    assert forgetful.told == plain.told
    assert (forgetful.asked, forgetful.enough, forgetful.kept) == (plain.asked, plain.enough, plain.kept)


def is_answered(fall: Reading, kept: Sequence[Reading]) -> bool:
    """Whether what answers a fall was heard before it was."""
    answers = [r for r in kept if r.metric == "said_well" or (r.metric == "fall_recovered" and r.device == fall.device)]
    return any(r.collected_at <= fall.collected_at and r.measured_at > fall.measured_at for r in answers)


def is_known(fall: Reading, flat: Flat) -> bool:
    """Whether another wearable's or an earlier word of the same blow was confirmed already."""
    near = [r for r in flat.kept if r.metric == "fall" and abs(r.measured_at - fall.measured_at) <= 10 * SECOND]
    return any(
        told.metric == "fall_confirmed" and told.measured_at - one.collected_at <= 45 * SECOND
        for one in near
        for _, told in flat.told
        if one is not fall
    )


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_every_suspected_fall_has_one_outcome_in_time_and_a_lie_is_told_of_nobody_who_is_up(
    happenings: list[tuple[tuple[str, str, float], int, bool]],
) -> None:
    flat = live(happenings, forgetful=False)
    confirmed = [reading.measured_at for _, reading in flat.told if reading.metric == "fall_confirmed"]
    ended = [reading.collected_at for reading in flat.kept if "after_fall_s" in reading.detail]
    assert len(flat.settled) == len(flat.opened)
    spans = list(zip(flat.opened, flat.settled, strict=True))
    assert all(0 <= settled - opened <= 31 for opened, settled in spans)
    for fall in (reading for reading in flat.kept if reading.metric == "fall"):
        heard_s = (fall.collected_at - NOW) / SECOND
        asked = any(opened - 1e-4 <= heard_s <= settled + 1e-4 for opened, settled in spans)
        assert asked or is_answered(fall, flat.kept) or is_known(fall, flat)
    for lie in (reading for _, reading in flat.told if reading.metric == "long_lie"):
        before = [at for at in confirmed if at <= lie.measured_at]
        assert before
        assert not any(before[-1] < at <= lie.measured_at for at in ended)
    lies = [reading for _, reading in flat.told if reading.metric == "long_lie"]
    assert len(lies) <= len(Patience().lie_min) * len(confirmed)
    assert len({reading.key for _, reading in flat.told}) == len(flat.told)
    assert all(0 <= reading.value <= 1 for _, reading in flat.told)


@given(HAPPENINGS)
@settings(max_examples=40, deadline=None)
def test_who_is_not_known_to_be_up_is_told_of_as_lying(
    happenings: list[tuple[tuple[str, str, float], int, bool]],
) -> None:
    silent = [one for one in happenings if one[0][0] not in ("said_well", "fall_recovered")]
    flat = live(silent, forgetful=False)
    flat.wait(700)
    fell = any(reading.metric == "fall" for reading in flat.kept)
    assert ("long_lie" in [metric for _, metric in flat.outcomes]) is fell
    assert ("fall_confirmed" in [metric for _, metric in flat.outcomes]) is fell


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox") as it:
        yield it


class Gateway:
    """Two homes of a stairway over one disk."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox, self.now = outbox, NOW
        self.did: list[tuple[str, frozenset[str]]] = []
        self.start()

    def start(self) -> None:
        self.desk = Desk(self.outbox, now=lambda: self.now)
        self.homes = Homes(
            self.desk,
            ask=lambda ask, devices: self.did.append(("again" if ask.again else "ask", frozenset(devices))),
            enough=lambda enough, devices: self.did.append(("well" if enough.well else "enough", frozenset(devices))),
        )
        self.homes.set_devices({BAND: "1", HALL: "1", PENDANT: "2"})

    def hear(self, metric: str, device: str = BAND) -> None:
        self.desk.keep([Reading(device, metric, 0.9, self.now, self.now)])

    def wait(self, seconds: int, *, restart: Callable[[int], bool] = lambda _n: False) -> None:
        for n in range(seconds):
            if restart(n):
                self.start()
            self.homes.judge()
            self.now += SECOND
        self.homes.judge()

    def kept(self) -> list[tuple[str, str]]:
        return [(r.metric, r.device) for _, r in self.outbox.batch(1000)]


def test_a_fall_is_kept_before_anybody_is_asked_and_what_follows_is_kept_across_restarts(outbox: Outbox) -> None:
    gateway = Gateway(outbox)
    gateway.hear("fall")
    assert gateway.kept() == [("fall", BAND)]
    assert gateway.did == []
    gateway.wait(700, restart=lambda n: n % 7 == 3)
    assert gateway.did == [(what, frozenset({BAND, HALL})) for what in ("ask", "again", "enough")]
    assert gateway.kept() == [("fall", BAND), ("fall_confirmed", BAND), ("long_lie", BAND)]
    gateway.start()
    gateway.hear("said_well")
    gateway.wait(7200)
    assert gateway.did[-1][0] == "well"
    assert [metric for metric, _ in gateway.kept()] == ["fall", "fall_confirmed", "long_lie", "said_well"]


def test_the_homes_of_a_stairway_are_asked_apart(outbox: Outbox) -> None:
    gateway = Gateway(outbox)
    gateway.hear("fall")
    gateway.hear("said_well", PENDANT)
    gateway.wait(31)
    assert ("fall_confirmed", BAND) in gateway.kept()
    assert {devices for _, devices in gateway.did} == {frozenset({BAND, HALL})}


def test_an_answer_is_kept_with_the_time_since_the_fall(outbox: Outbox) -> None:
    gateway = Gateway(outbox)
    gateway.hear("fall")
    gateway.wait(4)
    gateway.hear("said_well")
    gateway.wait(60)
    [_, (_, answer)] = outbox.batch(9)
    assert (answer.metric, answer.detail) == ("said_well", {"after_fall_s": 4.0})
    assert [what for what, _ in gateway.did] == ["ask", "well"]


def test_a_fall_is_asked_about_and_confirmed_though_nobody_knows_what_time_it_is(tmp_path: Path) -> None:
    up_s = 0.0
    sources = Sources(
        wall=lambda: NOW - timedelta(days=300) + up_s * SECOND,
        since_boot=lambda: up_s,
        synchronised=lambda: None,
        boot=lambda: "this",
    )
    did = []
    with Outbox(tmp_path / "outbox") as outbox, Outbox(tmp_path / "undated") as undated:
        keeper = Timekeeper(outbox, undated, sources=sources)
        desk = Desk(outbox, timekeeper=keeper)
        homes = Homes(desk, ask=lambda _ask, _devices: did.append(up_s))
        keeper.shifted = homes.shift
        homes.set_devices({BAND: "1", HALL: "1"})
        desk.keep([Reading(HALL, "movement", 1.0, desk.now(), desk.now())])
        desk.keep([Reading(BAND, "fall", 0.9, desk.now(), desk.now())])
        for _ in range(40):
            homes.judge()
            up_s += 1
            if up_s == 20:
                keeper.told(NOW + 20 * SECOND, 0.0)
        told = [reading for _, reading in outbox.batch(9) if reading.metric == "fall_confirmed"]
    assert did == [0, 15]
    assert [(r.measured_at, r.detail["waited_s"]) for r in told] == [(NOW + 30 * SECOND, 30.0)]


def test_what_cannot_be_kept_for_want_of_room_is_told_nevertheless(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox", max_bytes=250_000) as outbox:
        gateway = Gateway(outbox)
        gateway.hear("fall")
        fill(outbox)
        gateway.wait(40)
        assert [what for what, _ in gateway.did] == ["ask", "again", "enough"]
        [(number, confirmed)] = outbox.newest_emergencies(1)
        assert (number < 0, confirmed.metric) == (True, "fall_confirmed")
        assert "fall_confirmed could not be kept" in str(gateway.desk.of(BAND).trouble)
