"""The board: what waits, one tap to take it, and what came of it is said before it closes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI

from alerts.rule import JOINED
from clinicians.advice import next_steps
from clinicians.care_worker import Card, Conversation, _shelf_end, board
from clinicians.cases import Case, outcome
from clinicians.words import Words
from store import alerts, falls, notes, people
from store.alerts import AlertRow
from tests.clinicians.fallen import fall, tell
from tests.clinicians.lived import PROTOCOL, Lived, live_in, open_service, raise_alert, visit
from tests.clinicians.test_worklist import ALERT, EN, NOW, TAKEN, TASK, WANG, ZH


def talk(*known: Case, number: int = 1) -> Conversation:
    cards = tuple(Card(case, ("Ring.",)) for case in known)
    return Conversation(replace(WANG, id=number), 82, (), None, cards)


def test_every_resident_has_exactly_one_place_on_the_board_and_every_task_its_own() -> None:
    places: dict[str, Case] = {
        "waiting": ALERT,
        "mine": replace(TAKEN, is_mine=True),
        "asked_after": replace(ALERT, standing="cancelled"),
        "others": replace(TAKEN, standing="attended"),
        "shelved": replace(ALERT, standing="shelved"),
    }
    made = board([talk(case, TASK, TASK, number=n) for n, case in enumerate(places.values())])
    for name, case in places.items():
        assert [[card.case for card in t.cards] for t in getattr(made, name)] == [[case]]
    assert [[card.case for card in t.cards] for t in made.tasks] == [[TASK]] * 10


def test_of_several_alerts_the_one_that_waits_stands_for_all() -> None:
    several = talk(TAKEN, ALERT, replace(ALERT, id=2))
    assert (several.lead, several.waiting, several.is_urgent, several.steps) == (ALERT, 2, True, ("Ring.",))
    assert board([several]).waiting == (several,)


def test_whom_nobody_answers_comes_before_all_who_wait() -> None:
    exhausted = talk(replace(ALERT, exhausted_at=NOW), number=2)
    assert board([talk(ALERT), exhausted]).waiting[0] == exhausted


def test_tasks_alone_are_a_quiet_board() -> None:
    assert board([talk(TASK)]).is_quiet
    assert not board([talk(TAKEN)]).is_quiet


@pytest.mark.parametrize("rule", [rule.id for rule in PROTOCOL.rules])
def test_every_shipped_rule_has_something_to_do_next(rule: str) -> None:
    assert next_steps(rule, EN)
    assert next_steps(rule, ZH)[0] != next_steps(rule, EN)[0]


def test_a_rule_added_tomorrow_has_advice_too() -> None:
    assert next_steps("sleep.short", EN) == ["Ring and ask how things are.", "Tell the doctor what you found."]
    assert next_steps("pulse.unheard_of", EN) == next_steps("pulse.high", EN)


def test_what_staff_wrote_about_an_outcome_stays_among_staff() -> None:
    assert outcome("hospital: broken hip suspected", EN, for_staff=True) == "Went to hospital · broken hip suspected"
    assert outcome("hospital: broken hip suspected", ZH, for_staff=False) == "已送医院"
    assert outcome("free words", EN, for_staff=False) == ""


@pytest.mark.parametrize(
    ("now", "end"),
    [("2026-11-24T15:00:00Z", "2026-11-25T00:00:00Z"), ("2026-11-24T20:00:00Z", "2026-11-25T00:00:00Z")],
)
def test_until_the_morning_is_the_centre_s_morning(now: str, end: str) -> None:
    assert _shelf_end("morning", Words.of("en"), datetime.fromisoformat(now)) == datetime.fromisoformat(end)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    return await live_in(app.state.database, datetime.now(UTC))


async def state(app: FastAPI, number: int) -> AlertRow:
    async with app.state.database.service() as c:
        row = await alerts.alert(c, number)
    assert row is not None
    return row


@pytest.mark.anyio
async def test_the_board_says_who_where_what_and_what_next(app: FastAPI, lived: Lived) -> None:
    html = (await (await visit(app, lived.home.li_na.id, "zh_Hans")).get("/care")).text
    for said in ("有1位老人等人接手", "王秀英", "9号楼502", "192/118", "我来处理", "打电话问：有没有胸痛"):
        assert said in html
    for number in ("+8613900000006", "+8613900000005", "120"):
        assert f'href="tel:{number}"' in html
    assert html.index("192/118") < html.index("待办")


@pytest.mark.anyio
async def test_taking_it_is_one_tap_and_everybody_sees_who_has_it(app: FastAPI, lived: Lived) -> None:
    li_na = await visit(app, lived.home.li_na.id, "en")
    answer = await li_na.post(f"/care/alerts/{lived.severe}/acknowledge", data={"csrf": "csrf"})
    assert answer.headers["location"] == "/care?told=acknowledged"
    assert (await state(app, lived.severe)).acknowledged_by == lived.home.li_na.id
    assert "It is yours." in (await li_na.get("/care?told=acknowledged")).text
    chen = await visit(app, lived.home.chen.id, "en")
    html = (await chen.get("/care")).text
    assert "Taken by Na Li" in html
    assert f'id="take-{lived.severe}"' not in html
    daughter = await visit(app, lived.home.daughter.id, "en")
    assert "Na Li knows about Mum and is seeing to it." in (await daughter.get("/family")).text


@pytest.mark.anyio
async def test_one_tap_takes_all_of_a_resident_and_another_says_that_one_is_there(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        second = await raise_alert(c, lived.home.wang, "fall", lived.now, {"probability": 0.97}, step=1)
    li_na = await visit(app, lived.home.li_na.id, "en")
    html = (await li_na.get("/care")).text
    assert "I'll take all 2" in html
    assert html.count('class="button act big"') == 1
    await li_na.post(f"/care/alerts/{second}/acknowledge", data={"csrf": "csrf"})
    assert [(await state(app, n)).state for n in (lived.severe, second)] == ["acknowledged", "acknowledged"]
    html = (await li_na.get("/care")).text
    assert "Taken by Na Li, just now · to be there by" in html
    answer = await li_na.post(f"/care/alerts/{second}/attend", data={"csrf": "csrf"})
    assert answer.headers["location"] == "/care?told=attended"
    assert [(await state(app, n)).state for n in (lived.severe, second)] == ["attended", "attended"]
    chen = await visit(app, lived.home.chen.id, "en")
    assert "Na Li is there since today" in (await chen.get("/care")).text
    daughter = await visit(app, lived.home.daughter.id, "en")
    html = (await daughter.get("/family")).text
    assert "Na Li is looking after Mum." in html
    assert "+8613900000002" not in html


@pytest.mark.anyio
async def test_a_promise_that_was_not_kept_names_who_had_made_it(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        for kind in ("acknowledged", "lapsed"):
            await alerts.add_event(c, lived.severe, lived.home.wang, kind, at=lived.now, person_id=lived.home.li_na.id)
    chen = await visit(app, lived.home.chen.id, "en")
    assert "Na Li had taken it and has not come." in (await chen.get("/care")).text


@pytest.mark.anyio
async def test_a_colleague_without_any_tie_to_the_resident_is_named_to_staff_and_not_to_the_family(
    app: FastAPI, lived: Lived
) -> None:
    async with app.state.database.service() as c:
        volunteer = await people.add_person(c, lived.home.centre, "何勇", "He Yong", "+8613900000090", "zh_Hans")
        taken = {"state": "acknowledged", "acknowledged_by": volunteer.id, "acknowledged_at": lived.now}
        await alerts.update(c, lived.severe, taken)
        await alerts.add_event(c, lived.severe, lived.home.wang, "acknowledged", at=lived.now, person_id=volunteer.id)
    assert "Taken by He Yong" in (await (await visit(app, lived.home.li_na.id, "en")).get("/care")).text
    doctor = await visit(app, lived.home.doctor.id, "en")
    assert "<strong>He Yong</strong>: taken" in (await doctor.get(f"/doctor/residents/{lived.home.wang}")).text
    html = (await (await visit(app, lived.home.daughter.id, "en")).get("/family")).text
    assert "a colleague at the health centre knows about Mum" in html
    assert "He Yong" not in html


@pytest.mark.anyio
async def test_what_the_resident_took_back_is_asked_after(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await alerts.update(c, lived.severe, {"state": "cancelled", "cancelled_at": lived.now, "climb_at": None})
    li_na = await visit(app, lived.home.li_na.id, "en")
    html = (await li_na.get("/care")).text
    assert "To be asked after" in html
    assert "She or he has said that all is well, today" in html
    await li_na.post(f"/care/alerts/{lived.severe}/acknowledge", data={"csrf": "csrf"})
    assert (await state(app, lived.severe)).acknowledged_by == lived.home.li_na.id


@pytest.mark.anyio
async def test_who_comes_second_is_told_so(app: FastAPI, lived: Lived) -> None:
    for person in (lived.home.li_na.id, lived.home.chen.id):
        browser = await visit(app, person, "en")
        answer = await browser.post(f"/care/alerts/{lived.severe}/acknowledge", data={"csrf": "csrf"})
    assert answer.headers["location"] == "/care?told=taken"
    assert "A colleague has taken it already." in (await browser.get(answer.headers["location"])).text


@pytest.mark.anyio
async def test_closing_needs_an_outcome(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    path = f"/care/alerts/{lived.severe}/resolve"
    answer = await browser.post(path, data={"csrf": "csrf"})
    assert answer.headers["location"] == "/care?told=no_outcome"
    assert (await state(app, lived.severe)).state == "notifying"
    answer = await browser.post(path, data={"csrf": "csrf", "outcome": "magic"})
    assert answer.status_code == 400
    assert "That did not arrive whole" in answer.text
    await browser.post(path, data={"csrf": "csrf", "outcome": "helped", "remark": " took her pill "})
    assert (await state(app, lived.severe)).outcome == "helped: took her pill"


@pytest.mark.anyio
async def test_putting_aside_and_declining_go_through(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    answer = await browser.post(f"/care/alerts/{lived.severe}/shelve", data={"csrf": "csrf", "until": "4"})
    assert answer.headers["location"] == "/care?told=shelved"
    until = (await state(app, lived.severe)).shelved_until
    assert until is not None
    assert timedelta(hours=3, minutes=58) < until - datetime.now(UTC) <= timedelta(hours=4)
    async with app.state.database.service() as c:
        fall = await raise_alert(c, lived.home.zhao, "fall", lived.now, {"probability": 0.97}, step=1)
    answer = await browser.post(f"/care/alerts/{fall}/decline", data={"csrf": "csrf"})
    assert answer.headers["location"] == "/care?told=declined"
    async with app.state.database.service() as c:
        assert "declined" in [step.kind for step in (await alerts.trail(c, [fall]))[fall]]


@pytest.mark.anyio
async def test_a_note_is_kept_escaped_and_shown_to_staff_only(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    form = {"csrf": "csrf", "text": "<b>ate well</b>", "alert_id": str(lived.severe)}
    answer = await browser.post(f"/care/residents/{lived.home.wang}/notes", data=form)
    assert answer.headers["location"] == "/care?told=noted"
    async with app.state.database.service() as c:
        (note,) = await notes.of_resident(c, lived.home.wang)
    assert (note.text, note.alert_id) == ("<b>ate well</b>", lived.severe)
    assert "&lt;b&gt;ate well" in (await browser.get(f"/care/residents/{lived.home.wang}")).text
    daughter = await visit(app, lived.home.daughter.id, "en")
    assert "ate well" not in (await daughter.get("/family")).text


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", "   ", "x" * 4001])
async def test_an_empty_or_endless_note_is_refused(app: FastAPI, lived: Lived, text: str) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    answer = await browser.post(f"/care/residents/{lived.home.wang}/notes", data={"csrf": "csrf", "text": text})
    assert answer.status_code == 400


@pytest.fixture
async def fallen(app: FastAPI, lived: Lived) -> int:
    """Wang has fallen six minutes ago, and lies."""
    at = lived.now - timedelta(minutes=6)
    async with app.state.database.service() as c:
        number = await fall(c, lived.home, at)
        confirmed = {"waited_s": 30.0, "after_fall_s": 38.0, "suspected": 0.93}
        await tell(c, lived.home, "fall_confirmed", at + timedelta(seconds=38), 0.97, confirmed)
    return number


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("Very likely a fall, 97%; 93% by the movement alone", "4.8 g, as hard as most falls", "no answer in 30 s")),
        ("zh_Hans", ("极可能是跌倒，97%；只看动作为93%", "4.8 g，和多数跌倒一样重", "30秒内没有回答")),
    ],
)  # fmt: skip
async def test_a_fall_is_explained_to_who_cares_for_her(
    app: FastAPI, lived: Lived, fallen: int, language: str, said: tuple[str, ...]
) -> None:
    for person, path in ((lived.home.li_na, "care"), (lived.home.doctor, "doctor")):
        html = (await (await visit(app, person.id, language)).get(f"/{path}/residents/{lived.home.wang}")).text
        for words in said:
            assert words in html
        assert html.count(f'id="fall-{fallen}-0-title"') == 1


@pytest.mark.anyio
async def test_a_fall_that_is_not_hers_to_see_is_not_shown(app: FastAPI, lived: Lived, fallen: int) -> None:
    async with app.state.database.service() as c:
        await c.execute("DELETE FROM relation WHERE person_id = %s", [lived.home.li_na.id])
    browser = await visit(app, lived.home.li_na.id)
    assert (await browser.get(f"/care/residents/{lived.home.wang}")).status_code == 404
    answer = await browser.post(f"/care/alerts/{fallen}/resolve-fall", data={"csrf": "csrf", "finding": "fall.well"})
    assert answer.status_code == 404
    async with app.state.database.reader(lived.home.daughter.id) as c:
        assert await falls.verdicts(c, [fallen]) == {}


@pytest.mark.anyio
async def test_who_lies_long_is_not_to_be_pulled_up(app: FastAPI, lived: Lived, fallen: int) -> None:
    async with app.state.database.service() as c:
        await alerts.set_evidence(c, fallen, {"probability": 0.93, "minutes": 10.0, JOINED: "fall.long_lie"})
    html = (await (await visit(app, lived.home.li_na.id, "en")).get("/care")).text
    assert "After a long time on the floor" in html
    assert "10 minutes after a fall, no sign of getting up" in html


@pytest.mark.anyio
async def test_one_tap_closes_a_fall_and_says_what_it_was(app: FastAPI, lived: Lived, fallen: int) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    html = (await browser.get("/care")).text
    assert 'name="finding" value="no_fall.sat_down">Sat or lay down hard</button>' in html
    form = {"csrf": "csrf", "finding": "no_fall.sat_down", "remark": "on the sofa"}
    answer = await browser.post(f"/care/alerts/{fallen}/resolve-fall", data=form)
    assert answer.headers["location"] == "/care?told=closed"
    assert (await state(app, fallen)).outcome == "false_alarm: on the sofa"
    html = (await browser.get(f"/care/residents/{lived.home.wang}")).text
    assert "It was no fall: Sat or lay down hard (Na Li, today" in html


@pytest.mark.anyio
async def test_who_was_there_closes_all_of_a_resident_at_once_if_she_says_so(
    app: FastAPI, lived: Lived, fallen: int
) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    assert (await browser.get("/care")).text.count("Close the 1 other alert of this resident too") == 1
    form = {"csrf": "csrf", "finding": "fall.hospital", "others": "true"}
    await browser.post(f"/care/alerts/{fallen}/resolve-fall", data=form)
    assert [(await state(app, n)).outcome for n in (fallen, lived.severe)] == ["hospital", "hospital"]
    assert (await state(app, lived.battery)).state == "raised", "a task is no part of it"


@pytest.mark.anyio
async def test_a_fall_is_never_closed_along_with_something_else(app: FastAPI, lived: Lived, fallen: int) -> None:
    browser = await visit(app, lived.home.li_na.id)
    form = {"csrf": "csrf", "outcome": "well", "others": "true"}
    await browser.post(f"/care/alerts/{lived.severe}/resolve", data=form)
    assert [(await state(app, n)).state for n in (lived.severe, fallen)] == ["resolved", "notifying"]


@pytest.mark.anyio
async def test_a_wrong_finding_is_corrected_and_the_newest_counts(app: FastAPI, lived: Lived, fallen: int) -> None:
    browser = await visit(app, lived.home.li_na.id, "en")
    path = f"/care/alerts/{fallen}"
    answer = await browser.post(f"{path}/finding", data={"csrf": "csrf", "finding": "unclear"})
    assert answer.status_code == 400, "an open alert is closed first"
    form = {"csrf": "csrf", "finding": "no_fall.arm", "remark": "clapped"}
    await browser.post(f"{path}/resolve-fall", data=form)
    answer = await browser.post(f"{path}/finding", data={"csrf": "csrf", "finding": "fall.hospital"})
    assert answer.headers["location"] == f"/care/residents/{lived.home.wang}?told=judged"
    assert (await state(app, fallen)).outcome == "hospital: clapped"
    async with app.state.database.reader(lived.home.li_na.id) as c:
        verdict = (await falls.verdicts(c, [fallen]))[fallen]
    assert (verdict.verdict, verdict.what) == ("fall", "hospital")


@pytest.mark.anyio
async def test_only_of_a_fall_it_is_said_whether_it_was_one(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.li_na.id)
    form = {"csrf": "csrf", "finding": "fall.well"}
    assert (await browser.post(f"/care/alerts/{lived.severe}/resolve-fall", data=form)).status_code == 400
    assert (await state(app, lived.severe)).state == "notifying"
    assert (await browser.post(f"/care/alerts/{lived.severe}/finding", data=form)).status_code == 400
