"""A resident whose call does not get through is told so, and is never told that somebody knows when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devices.aloud import Aloud, Voice
from devices.first_aid import EMERGENCIES, RECOVERED, FirstAid, Message, Patience, State, sentence
from devices.outbox import Outbox, OutboxFull
from devices.readings import Reading
from devices.service import Emergency, Service
from devices.uplink import Pace, Uplink
from tests.devices.door import Door, open_door

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BAND, BUTTON = "C0:00:00:00:00:02", "C0:00:00:00:00:03"
WAITING_FALL, WAITING_CALL = Message(State.WAITING, "fall"), Message(State.WAITING, "help_call")
TAKEN_FALL, TAKEN_CALL = Message(State.TAKEN, "fall"), Message(State.TAKEN, "help_call")
NOT_TAKEN_FALL = Message(State.NOT_TAKEN, "fall")
ASKED, ASKED_KNOWN = Message(State.ASKED, "fall"), Message(State.ASKED_KNOWN, "fall")
QUESTIONS = [ASKED, ASKED_KNOWN]
TOLD = [Message(state, metric) for state in (State.WAITING, State.TAKEN, State.NOT_TAKEN) for metric in EMERGENCIES]


def said(aid: FirstAid, until_s: float, since_s: float = 0.0) -> list[tuple[float, Message]]:
    """What is said in these seconds, and when, if somebody asks every second."""
    seconds = (since_s + n for n in range(int(until_s - since_s) + 1))
    return [(s, message) for s in seconds if (message := aid.due(s))]


def test_what_gets_through_in_time_is_not_spoken_of() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.taken([1])
    assert said(aid, 1000) == []


def test_what_waits_is_spoken_of_politely_and_not_for_ever() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    assert said(aid, 3600) == [(15 + 60 * n, WAITING_FALL) for n in range(10)]
    aid.taken([1])
    assert said(aid, 3700, 3601) == [(3601, TAKEN_FALL)]


def test_many_presses_are_one_sentence() -> None:
    aid = FirstAid()
    for n in range(5):
        aid.happened(n, "help_call", BUTTON, n)
    assert said(aid, 90) == [(15, WAITING_CALL), (75, WAITING_CALL)]


def test_a_call_after_a_fall_is_spoken_of_too_but_not_in_the_same_breath() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.happened(2, "help_call", BUTTON, 3)
    assert said(aid, 80) == [(15, WAITING_FALL), (30, WAITING_CALL)]


def test_that_it_got_through_is_said_when_everything_she_was_told_of_did() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.happened(2, "help_call", BUTTON, 0)
    assert said(aid, 20) == [(15, WAITING_CALL)]
    aid.taken([1])
    assert said(aid, 40, 21) == []
    aid.taken([2])
    assert said(aid, 50, 41) == [(41, TAKEN_CALL)]


def test_what_the_service_refuses_is_said_and_never_that_it_got_through() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.happened(2, "help_call", BUTTON, 0)
    said(aid, 20)
    aid.not_taken([1], 21)
    aid.taken([2])
    assert said(aid, 100, 21) == [(30, NOT_TAKEN_FALL), (90, NOT_TAKEN_FALL)]
    assert TAKEN_CALL not in [m for _, m in said(aid, 2000, 101)]


def test_who_got_up_is_left_in_peace() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    said(aid, 20)
    aid.recovered(2, BAND)
    aid.taken([1])
    assert said(aid, 1000, 21) == []


def test_a_call_for_help_is_not_taken_back_by_getting_up() -> None:
    aid = FirstAid()
    aid.happened(1, "help_call", BUTTON, 0)
    aid.recovered(2, BUTTON)
    assert said(aid, 20) == [(15, WAITING_CALL)]


def test_what_gets_through_after_many_hours_is_not_mentioned() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    said(aid, 1000)
    aid.taken([1])
    assert said(aid, 25_010, 25_000) == []


@pytest.mark.parametrize("message", [*TOLD, *QUESTIONS])
def test_every_message_has_a_sentence_in_both_languages_that_promises_nothing(message: Message) -> None:
    en, zh = sentence(message, "en", "+86 120"), sentence(message, "zh_Hans", "120")
    assert en.isascii()
    assert not zh.replace("1 2 0", "").isascii()
    for promise in ("on the way", "is coming", "will come", "马上", "赶来", "派人"):
        assert promise not in en + zh
    if message in QUESTIONS or message.state is State.TAKEN:
        assert "ring " not in en
        assert "{" not in en + zh
    else:
        assert "ring 8 6 1 2 0 yourself" in en
        assert "拨打 1 2 0" in zh
        assert "ring somebody yourself" in sentence(message, "en", None)
    assert sentence(message, "fr", None) == sentence(message, "zh_Hans", None)


def test_a_question_is_asked_at_once_and_before_the_service_has_the_fall_it_says_nothing_of_help() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.ask(0)
    assert said(aid, 10) == [(0, ASKED)]
    aid.taken([1])
    aid.ask(15)
    assert said(aid, 1000, 15) == [(15, ASKED_KNOWN)]


def test_a_question_gives_way_to_the_word_that_nobody_knows_and_never_contradicts_it() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.ask(0)
    assert said(aid, 14) == [(0, ASKED)]
    aid.ask(15)
    assert said(aid, 59, 15) == [(15, WAITING_FALL)]
    aid.taken([1])
    assert said(aid, 60, 60) == [(60, TAKEN_FALL)]
    aid.happened(2, "fall", BAND, 61)
    aid.ask(61)
    assert said(aid, 62, 61) == [(61, ASKED)]


def test_a_service_that_refused_one_of_two_falls_is_not_said_to_know() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.happened(2, "fall", BUTTON, 0)
    aid.taken([1])
    aid.ask(0)
    assert said(aid, 1) == [(0, ASKED)]


def test_who_answered_is_asked_nothing_and_told_nothing_more_of_the_fall() -> None:
    aid = FirstAid()
    aid.happened(1, "fall", BAND, 0)
    aid.ask(0)
    aid.ask_no_more()
    aid.well([BAND])
    assert said(aid, 1000) == []


class Evening(RuleBasedStateMachine):
    """Falls, calls, a service that comes and goes; whoever asks every few seconds what to say."""

    def __init__(self) -> None:
        super().__init__()
        self.patience = Patience(first_s=15, every_s=60, most=4, stale_s=1e9)
        self.aid = FirstAid(self.patience)
        self.now_s = 0.0
        self.n = 0
        self.waiting: dict[int, tuple[str, str, float]] = {}
        self.refused_after_told = False
        self.said: list[tuple[float, Message]] = []

    @rule(metric=st.sampled_from(EMERGENCIES), device=st.sampled_from([BAND, BUTTON]))
    def happen(self, metric: str, device: str) -> None:
        self.n += 1
        self.waiting[self.n] = metric, device, self.now_s
        self.aid.happened(self.n, metric, device, self.now_s)

    @rule(device=st.sampled_from([BAND, BUTTON]))
    def recover(self, device: str) -> None:
        self.n += 1
        self.aid.recovered(self.n, device)
        self.waiting = {n: w for n, w in self.waiting.items() if w[:2] != ("fall", device)}

    @rule(data=st.data(), taken=st.booleans())
    def answer(self, data: st.DataObject, taken: bool) -> None:
        numbers = data.draw(st.sets(st.sampled_from(sorted(self.waiting)))) if self.waiting else set()
        for number in numbers:
            del self.waiting[number]
        self.aid.taken(numbers) if taken else self.aid.not_taken(numbers, self.now_s)

    @rule()
    def ask(self) -> None:
        self.aid.ask(self.now_s)

    @rule(seconds=st.integers(1, 100))
    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            message = self.aid.due(self.now_s)
            if message:
                self.check(message)

    def check(self, message: Message) -> None:
        spoken_of = {k.number for k in self.aid.known if k.times and k.state is State.WAITING}
        if message.state is State.TAKEN:
            assert not any(k.state is State.NOT_TAKEN for k in self.aid.known)
            assert not spoken_of  # nothing she was told of waits still
        if message.state is State.ASKED_KNOWN:
            assert not any(metric == "fall" for metric, _, _ in self.waiting.values())
        if message.state is State.WAITING:
            assert any(metric == message.metric for metric, _, _ in self.waiting.values())
        if self.said and self.said[-1][1] == message and message.state is State.TAKEN:
            assert any(m.state is not State.TAKEN for _, m in self.said)
        self.said.append((self.now_s, message))

    @invariant()
    def nobody_waits_unheard(self) -> None:
        known = {k.number: k for k in self.aid.known}
        for number, (_, _, since_s) in self.waiting.items():
            assert number in known
            assert known[number].times or self.now_s - since_s <= 2 * self.patience.first_s + 1
            assert known[number].times <= self.patience.most

    @invariant()
    def nothing_is_kept_for_ever(self) -> None:
        assert all(
            k.number in self.waiting or k.times < self.patience.most or k.state is State.TAKEN for k in self.aid.known
        )


TestEvening = Evening.TestCase
TestEvening.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as box:
        yield box


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as it:
        yield it


def voice(folder: Path, body: str = "", **more: Any) -> Voice:
    """A command that writes down what it is to say."""
    script = folder / "say.py"
    script.write_text(
        f"import json, sys, time\nopen({str(folder / 'said')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n{body}"
    )
    return Voice(f"{sys.executable} {script} {{voice}} {{what}} {{text}}", **more)


def heard(folder: Path) -> list[list[str]]:
    path = folder / "said"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def fall(n: int = 0, metric: str = "fall", **more: Any) -> Reading:
    at = more.pop("collected_at", datetime.now(UTC))
    return Reading(BAND, metric, 0.9, NOW + timedelta(seconds=n), at, **more)


def fill(outbox: Outbox) -> None:
    """Take all the room there is for emergencies, the last bits in small pieces."""
    begin = 0
    for size in (1000, 100, 10, 1):
        with contextlib.suppress(OutboxFull):
            while True:
                outbox.put([fall(n, "inactivity") for n in range(begin, begin + size)])
                begin += size


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  any condition, not an event
            await asyncio.sleep(0.01)


SOON = Patience(first_s=0.2, every_s=0.5, most=3)


async def test_a_fall_that_does_not_get_through_is_said_aloud_and_then_that_it_did(
    outbox: Outbox, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.aloud.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("devices.emergencies.AGAIN_S", 0.1)
    await door.slam()
    aloud = Aloud(outbox, voice(tmp_path), patience=SOON)
    aloud.emergency = Emergency("120", "zh_Hans")
    async with Service(door.url, "hw_right") as service:
        uplink = Uplink(outbox, service, pace=Pace(spread_s=0), listener=aloud)
        tasks = [asyncio.create_task(uplink.run()), asyncio.create_task(aloud.run())]
        outbox.put([fall()])
        await until(lambda: len(heard(tmp_path)) >= 2)
        await door.open()
        await until(lambda: heard(tmp_path)[-1][1] == "taken_fall")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert len(door.stored) == 1
    assert heard(tmp_path)[0][:2] == ["cmn", "waiting_fall"]
    assert "请您自己拨打 1 2 0" in heard(tmp_path)[0][2]
    assert [what for _, what, _ in heard(tmp_path)].count("taken_fall") == 1


@pytest.mark.parametrize("sign", RECOVERED)
async def test_who_is_up_or_says_that_she_is_well_is_told_nothing_more(
    outbox: Outbox, tmp_path: Path, sign: str
) -> None:
    now_s = 0.0
    aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
    outbox.put([fall()])
    await aloud.look()
    outbox.put([fall(1, sign)])
    now_s = 100.0
    await aloud.look()
    assert heard(tmp_path) == []


async def test_a_question_is_spoken_unless_it_was_answered_meanwhile(outbox: Outbox, tmp_path: Path) -> None:
    now_s = 0.0
    aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
    outbox.put([fall()])
    aloud.ask()
    await aloud.look()
    assert [what for _, what, _ in heard(tmp_path)] == ["asked_fall"]
    now_s = 14.0
    aloud.ask()
    aloud.enough([BAND])
    now_s = 100.0
    await aloud.look()
    assert len(heard(tmp_path)) == 1


async def test_what_was_taken_while_nobody_looked_is_not_taken_for_waiting(outbox: Outbox, tmp_path: Path) -> None:
    now_s = 0.0
    aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
    outbox.put([fall()])
    [(number, _)] = outbox.newest_emergencies(9)
    aloud.taken([number])  # it leaves the outbox only after this
    await aloud.look()
    outbox.done([number])
    now_s = 100.0
    await aloud.look()
    assert heard(tmp_path) == []


async def test_a_fall_that_the_disk_does_not_take_is_spoken_of_too(tmp_path: Path) -> None:
    now_s = 0.0
    with Outbox(tmp_path / "outbox.db", max_bytes=250_000) as outbox:
        fill(outbox)
        aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
        with pytest.raises(OutboxFull):
            outbox.put([fall()])
        await aloud.look()
        now_s = 16.0
        await aloud.look()
        assert [what for _, what, _ in heard(tmp_path)] == ["waiting_fall"]
        [number, *_] = [number for number, _ in outbox.newest_emergencies(1)]
        aloud.taken([number])
        outbox.done([number])
        await aloud.look()
        assert heard(tmp_path)[-1][1] == "taken_fall"


async def test_a_gateway_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from devices.aloud import Aloud, Voice
        from devices.first_aid import Patience
        from devices.outbox import Outbox, OutboxFull
        from devices.service import Emergency
        from tests.devices.test_first_aid import fall, voice
        folder = Path(sys.argv[1])
        outbox = Outbox(folder / "outbox.db")
        outbox.put([fall()])
        aloud = Aloud(outbox, voice(folder), patience=Patience(first_s=0, every_s=3600))
        asyncio.run(aloud.run())
        """
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path))
    await until(lambda: heard(tmp_path))
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    with Outbox(tmp_path / "outbox.db") as outbox:
        now_s = 0.0
        aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
        await aloud.look()
        assert len(heard(tmp_path)) == 1
        now_s = 16.0
        await aloud.look()
        assert [what for _, what, _ in heard(tmp_path)] == ["waiting_fall"] * 2
        [(number, _)] = outbox.newest_emergencies(9)
        aloud.taken([number])
        outbox.done([number])  # and it is killed again before it can say so
        aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
        await aloud.look()
        assert heard(tmp_path)[-1][1] == "taken_fall"
        again = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
        await again.look()
        assert len(heard(tmp_path)) == 3


async def test_a_fall_of_long_ago_frightens_nobody_after_a_restart_but_one_without_a_time_is_spoken_of(
    outbox: Outbox, tmp_path: Path
) -> None:
    now_s = 0.0
    outbox.put([fall(collected_at=datetime.now(UTC) - timedelta(hours=2))])
    aloud = Aloud(outbox, voice(tmp_path), clock=lambda: now_s)
    await aloud.look()
    now_s = 20.0
    await aloud.look()
    assert heard(tmp_path) == []
    outbox.put([fall(1, collected_at=datetime(1970, 1, 1, tzinfo=UTC))])
    await aloud.look()
    now_s = 40.0
    await aloud.look()
    assert [what for _, what, _ in heard(tmp_path)] == ["waiting_fall"]


async def test_no_shell_sees_what_is_spoken(outbox: Outbox, tmp_path: Path) -> None:
    aloud = Aloud(outbox, voice(tmp_path), patience=Patience(first_s=0))
    aloud.emergency = Emergency("1; touch /tmp/x $(id) 2", "en")
    outbox.put([fall()])
    await aloud.look()
    [[_, _, text]] = heard(tmp_path)
    assert "ring 1 2 yourself" in text


@pytest.mark.parametrize(
    ("body", "words"), [("time.sleep(3600)", "did not end within"), ("sys.exit(3)", "ended with 3")]
)
async def test_a_command_that_hangs_or_fails_is_ended_and_told_of(
    outbox: Outbox, tmp_path: Path, body: str, words: str
) -> None:
    aloud = Aloud(outbox, voice(tmp_path, body, wait_s=1.0), patience=Patience(first_s=0, every_s=0))
    outbox.put([fall()])
    await aloud.look()
    assert words in str(aloud.trouble)


async def test_a_program_that_is_not_there_is_told_of_and_forgotten_when_it_speaks_again(
    outbox: Outbox, tmp_path: Path
) -> None:
    aloud = Aloud(outbox, Voice(str(tmp_path / "absent") + " {text}"), patience=Patience(first_s=0, every_s=0))
    outbox.put([fall()])
    await aloud.look()
    assert "cannot be started" in str(aloud.trouble)
    aloud._voice = voice(tmp_path)
    await aloud.look()
    assert aloud.trouble is None


@pytest.mark.parametrize("command", ["", "  ", "say {texts}", "say 'open", "say {text.__class__}"])
def test_a_command_that_cannot_be_used_is_refused_in_words(command: str) -> None:
    with pytest.raises(ValueError, match="the command"):
        Voice(command)
