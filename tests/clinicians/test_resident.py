"""The resident's page: one thing at a time, the most pressing first, and her own word is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI

from alerts.deployment import Protocols
from alerts.protocol import load
from clinicians import resident
from clinicians.cases import Case
from clinicians.resident import Scene
from clinicians.words import Words
from devices.readings import METRICS
from store import alerts, feed, readings
from store.alerts import Prompt
from store.readings import Latest, utc
from tests.clinicians.lived import Lived, live_in, open_service, raise_alert, settle, visit
from tests.clinicians.test_family import FRESH, measured
from tests.clinicians.test_worklist import ALERT, EN, NOW, TAKEN, TARGET, TASK, WANG, ZH

ASKED = Prompt(1, 1, "fall", "are_you_well", NOW, NOW + timedelta(seconds=30))
REPEAT = Prompt(2, 1, "bp.severe", "repeat_measurement", NOW, NOW + timedelta(minutes=30))
SHIPPED = load()


def scene(prompts: list[Prompt], cases: list[Case], latest: dict[str, Latest], words: Words) -> Scene:
    return resident.scene(WANG, TARGET, prompts, cases, latest, Protocols(SHIPPED), words)


def test_is_she_well_comes_before_all_else() -> None:
    found = scene([REPEAT, ASKED], [ALERT], FRESH, ZH)
    assert (found.kind, found.title) == ("are_you_well", "您还好吗？")
    assert found.lines == ("您摔倒了吗？如果没事，请按“我没事”。没有回答，我们会叫人过来。",)


def test_who_has_only_not_been_seen_is_not_told_that_she_has_fallen() -> None:
    (line,) = scene([replace(ASKED, rule="inactivity.morning")], [], FRESH, EN).lines
    assert line.startswith("We have not seen you move this morning.")


def test_help_that_is_being_called_is_told() -> None:
    assert scene([REPEAT], [ALERT], FRESH, EN).title == "We are calling somebody for you"


def test_who_has_taken_it_is_named() -> None:
    assert scene([], [TAKEN], FRESH, EN).title == "Li Na knows and will be in touch"


def test_measuring_again_is_one_clear_request() -> None:
    found = scene([REPEAT], [TASK], FRESH, ZH)
    assert found.kind == "repeat_measurement"
    [line] = found.lines
    assert line.startswith("请坐下休息五分钟，先不要说话，然后再量一次血压。")


def test_she_is_asked_to_measure_what_the_rule_is_about() -> None:
    (line,) = scene([replace(REPEAT, rule="spo2.low")], [], FRESH, EN).lines
    assert "oxygen" in line
    assert scene([replace(REPEAT, rule="gone.rule")], [], FRESH, EN).lines == ()


def test_an_alert_put_aside_does_not_claim_that_somebody_is_being_called() -> None:
    assert scene([], [replace(ALERT, standing="shelved")], FRESH, EN).title == (
        "The health centre knows and will look again"
    )


@pytest.mark.parametrize("systolic", [150.0, 192.0, 88.0])
def test_a_value_off_target_is_never_made_small(systolic: float) -> None:
    said = scene([], [], measured(timedelta(hours=1), systolic), EN).lines[1]
    assert "your target" in said
    assert "little" not in said


def test_a_calm_day_tells_the_last_value_in_words() -> None:
    found = scene([], [], FRESH, EN)
    assert found.title == "Good evening, Wang Xiuying"
    assert found.lines == ("Your blood pressure today 15:00: 128 over 78.", "That is good.")
    assert found.spoken == "Good evening, Wang Xiuying\nYour blood pressure today 15:00: 128 over 78.\nThat is good."


def test_a_battery_is_not_her_worry() -> None:
    assert scene([], [TASK], FRESH, EN).kind == "calm"


def test_an_old_value_is_not_praised() -> None:
    assert scene([], [], measured(timedelta(days=3)), EN).lines[1] == "That is some time ago. Please measure today."


@pytest.mark.parametrize(
    ("hour", "greeting"), [(2, "您好"), (7, "早上好"), (12, "中午好"), (15, "下午好"), (20, "晚上好")]
)
def test_the_greeting_is_of_her_time_of_day(hour: int, greeting: str) -> None:
    at = datetime(2026, 11, 24, hour, tzinfo=ZH.zone)
    assert scene([], [], {}, Words.of("zh_Hans", now=at.astimezone(UTC))).title == f"王秀英，{greeting}"


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    return await live_in(app.state.database, datetime.now(UTC))


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "metric"), [("well", "said_well"), ("help", "help_call")])
async def test_what_she_says_reaches_the_watch_like_a_press_on_her_wrist(
    app: FastAPI, lived: Lived, said: str, metric: str
) -> None:
    async with app.state.database.service() as c:
        at = await feed.end(c)
        await alerts.ask(c, lived.home.wang, "fall", "are_you_well", lived.now, lived.now + timedelta(minutes=5))
    browser = await visit(app, lived.home.wang_person, "en")
    assert "Are you well?" in (await browser.get("/me")).text
    answer = await browser.post("/me/answer", data={"csrf": "csrf", "said": said})
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    async with app.state.database.service() as c:
        heard = await feed.next_batch(c, at, 10)
        assert heard is not None
        assert heard.metric.tolist() == [METRICS[metric].code]
        assert heard.resident_id.tolist() == [lived.home.wang]
        assert heard.device_id.tolist() == [lived.home.wearable]
        assert await alerts.open_prompts(c, lived.home.wang, datetime.now(UTC)) == []
    await settle(app.state.database)
    async with app.state.database.reader(lived.home.wang_person) as c:
        assert metric in (await readings.latest(c))[lived.home.wang]
        detail = await readings.event_detail(c, lived.home.wang, METRICS[metric].code, utc(heard.measured_at[0]))
        assert set(detail) == ({"after_fall_s"} if said == "well" else set())


@pytest.mark.anyio
async def test_she_answers_a_fall_that_a_clock_ahead_of_ours_has_told(app: FastAPI, lived: Lived) -> None:
    fell_at = datetime.now(UTC) + timedelta(minutes=3)
    async with app.state.database.service() as c:
        at = await feed.end(c)
        await alerts.ask(c, lived.home.wang, "fall", "are_you_well", fell_at, fell_at + timedelta(minutes=5))
    browser = await visit(app, lived.home.wang_person, "en")
    await browser.post("/me/answer", data={"csrf": "csrf", "said": "well"})
    async with app.state.database.service() as c:
        heard = await feed.next_batch(c, at, 10)
        assert heard is not None
        assert utc(heard.at[0]) >= fell_at
        assert heard.received_at[0] < heard.at[0]


@pytest.mark.anyio
async def test_who_says_within_the_time_that_she_is_well_is_believed_and_asked_after(
    app: FastAPI, lived: Lived
) -> None:
    until = datetime.now(UTC) + timedelta(seconds=30)
    async with app.state.database.service() as c:
        await alerts.update(c, lived.severe, {"state": "resolved", "climb_at": None})
        fall = await raise_alert(c, lived.home.wang, "fall", lived.now, {"probability": 0.9})
        await alerts.update(c, fall, {"climb_at": until})
        await alerts.ask(c, lived.home.wang, "fall", "are_you_well", lived.now, until)
    care = await visit(app, lived.home.li_na.id, "en")
    assert "Nobody has been called yet. First call at" in (await care.get("/care")).text
    assert "Nobody waits" in (await care.get("/station")).text
    browser = await visit(app, lived.home.wang_person, "en")
    await browser.post("/me/answer", data={"csrf": "csrf", "said": "well"})
    html = (await browser.get("/me")).text
    assert "Good to hear that you are well" in html
    assert "Somebody from the health centre will ask how you are." in html
    assert "To be asked after" in (await care.get("/care")).text
    daughter = await visit(app, lived.home.daughter.id, "en")
    assert "Mum has said that all is well. The health centre will still ask." in (await daughter.get("/family")).text
    async with app.state.database.service() as c:
        assert [step.kind for step in (await alerts.trail(c, [fall]))[fall]] == ["raised", "cancelled"]


@pytest.mark.anyio
async def test_her_page_reads_itself_aloud_and_shows_whom_to_ring(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.wang_person, "zh_Hans")
    html = (await browser.get("/me")).text
    assert 'data-speak="正在为您叫人' in html
    assert 'href="tel:+8610555500"' in html
    assert 'href="tel:120"' in html
