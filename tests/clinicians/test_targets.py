"""A doctor sees by what her resident is judged and whence it is, and sets it in words that cannot be misread."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from fastapi import FastAPI

from alerts import deployment, judging
from alerts.judging import Target
from alerts.rule import SYSTOLIC_HIGH
from clinicians.values import Accepted, Entered, Wrong, check
from store import parameters, residents
from store.parameters import Setting
from tests.alerts.test_judging import PROTOCOL, TEXT
from tests.clinicians.lived import open_service, visit
from tests.clinicians.test_worklist import EN, NOW, ZH
from tests.household import Household, furnish

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """The service, with the test's own protocol in force."""
    async with open_service(database_url) as made:
        async with made.state.database.service() as c:
            await deployment.register_shipped(c, datetime.now(UTC))
            now = datetime.now(UTC)
            staged = await deployment.stage(c, {"test.toml": TEXT}, by="test", why="test", now=now)
            await deployment.activate(
                c, staged.version, now, instead_of=deployment.shipped().version, by="test", now=now
            )
        yield made


@pytest.fixture
async def home(app: FastAPI) -> Household:
    async with app.state.database.service() as c:
        return await furnish(c, datetime.now(UTC))


def place(home: Household, face: str = "doctor") -> str:
    return f"/{face}/residents/{home.wang}/targets"


def form(
    name: str = SYSTOLIC_HIGH, value: object = 150, until: str = "", why: str = "frail", **also: object
) -> dict[str, Any]:
    return {"csrf": "csrf", "name": name, "value": str(value), "until": until, "why": why, **also}


async def settings(app: FastAPI, home: Household) -> list[Setting]:
    async with app.state.database.service() as c:
        return await parameters.history(c, home.wang)


async def target(app: FastAPI, home: Household) -> Target:
    async with app.state.database.service() as c:
        return await judging.target_of(c, PROTOCOL, home.wang, datetime.now(UTC))


def words_of(html: str) -> str:
    """What the page says, without its markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html.partition("<main")[2])))


async def test_what_nobody_has_set_is_the_protocol_s_with_its_source(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    said = words_of((await browser.get(place(home))).text)
    assert "What Wang Xiuying is judged by" in said
    assert "None: she or he is judged like everybody." in said
    assert "Systolic target 135 mmHg The protocol's value for everybody." in said
    assert "Oxygen alarm level 91% The protocol's value for everybody." in said
    assert "Decides: Low oxygen" in said
    assert "Source: NEWS2" in said


async def test_a_value_she_sets_counts_at_once_on_every_page_with_who_until_when_and_why(
    app: FastAPI, home: Household
) -> None:
    browser = await visit(app, home.doctor.id, "zh_Hans")
    tomorrow = datetime.now(UTC).astimezone(ZH.zone).date() + timedelta(days=1)
    sent = await browser.post(place(home), data=form(value="１５０", until=tomorrow.isoformat(), why=" 站立时 头晕 "))
    assert (sent.status_code, sent.headers["location"]) == (303, f"{place(home)}?told=set#main")
    said = words_of((await browser.get(sent.headers["location"])).text)
    assert "已设定。从现在起按此值判断。" in said
    assert "收缩压目标 150 mmHg 个人设定 为本人单独设定。 刘建国，今天" in said
    assert f"{tomorrow.month}月{tomorrow.day}日（含当天）" in said
    assert "原因：站立时 头晕" in said
    assert "恢复通用值：135 mmHg" in said
    assert (await target(app, home)).systolic_high == 150
    assert "100-150 / 60-85" in (await browser.get(f"/doctor/residents/{home.wang}")).text


async def test_back_to_the_usual_ends_it_and_the_history_keeps_both(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    await browser.post(place(home), data=form())
    sent = await browser.post(f"{place(home)}/usual", data=form())
    said = words_of((await browser.get(sent.headers["location"])).text)
    assert "Back to the usual value from now on." in said
    assert "Systolic target: 150 mmHg, for good · frail" in said
    assert "Liu Jianguo : Systolic target: back to the usual" in said
    await browser.post(f"{place(home)}/usual", data=form())
    assert [one.value for one in await settings(app, home)] == [None, 150.0], "there was nothing to end any more"


async def test_a_condition_brings_its_values_and_the_first_group_counts(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    path = f"{place(home)}/conditions"
    await browser.post(path, data={"csrf": "csrf", "holds": ["copd", "stroke", "made_up"]})
    said = words_of((await browser.get(place(home))).text)
    assert "Oxygen alarm level 87% by condition The protocol's value with this condition: COPD." in said
    assert "noted: COPD" in said
    async with app.state.database.service() as c:
        by = home.doctor.id
        await parameters.set_for_group(c, home.centre, "copd", "spo2.low", 86.0, NOW, by=by, why="oxygen at home")
    said = words_of((await browser.get(place(home))).text)
    assert "Oxygen alarm level 86% by condition Your centre's value with this condition: COPD. Liu Jianguo," in said
    assert "Why: oxygen at home" in said
    await browser.post(path, data={"csrf": "csrf", "had": ["copd", "stroke"], "holds": ["stroke"]})
    assert "91%" in (await browser.get(place(home))).text
    async with app.state.database.service() as c:
        found = await residents.resident(c, home.wang)
    assert found is not None
    assert found.conditions == ["stroke"]


async def test_what_follows_by_itself_is_shown_and_cannot_be_ticked(app: FastAPI, home: Household) -> None:
    async with app.state.database.service() as c:
        now = datetime.now(UTC)
        await deployment.activate(c, deployment.shipped().version, now, instead_of=PROTOCOL.version, by="test", now=now)
        await c.execute("UPDATE resident SET born = '1940-01-01'")
    browser = await visit(app, home.doctor.id, "en")
    page = (await browser.get(place(home))).text
    assert 'value="over_80"' not in page
    assert 'value="hypercapnic_oxygen"' not in page
    said = words_of(page)
    assert "80 years and older: applies by the date of birth, from 80 years on" in said
    pair = "Retains carbon dioxide, on oxygen at home: {} where all of these are so:"
    assert pair.format("does not apply") in said
    await browser.post(
        f"{place(home)}/conditions", data={"csrf": "csrf", "holds": ["hypercapnic", "home_oxygen", "over_80"]}
    )
    said = words_of((await browser.get(place(home))).text)
    assert pair.format("applies") in said
    assert "noted: 80 years" not in said


async def test_two_doctors_at_once_do_not_undo_each_other_s_conditions(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id)
    path = f"{place(home)}/conditions"
    await browser.post(path, data={"csrf": "csrf", "holds": ["copd"]})
    await browser.post(path, data={"csrf": "csrf", "holds": ["stroke"]})  # her page did not show the other's yet
    async with app.state.database.service() as c:
        found = await residents.resident(c, home.wang)
    assert found is not None
    assert set(found.conditions) == {"copd", "stroke"}


WRONG = [
    (form(value="15O"), "Please write a whole number from 110 to 170 mmHg."),
    (form(value="171"), "Please write a whole number from 110 to 170 mmHg."),
    (form(value="nan"), "Please write a whole number from 110 to 170 mmHg."),
    (form(value=""), "Please write a whole number from 110 to 170 mmHg."),
    (form(until="2020-01-01"), "The last day can be today or later"),
    (form(until="9999-12-31"), "The last day can be today or later"),
    (form(until="soon"), "The last day can be today or later"),
    (form(why="  "), "Please say why in a few words"),
    (form(why="x" * 401), "Please say why in a few words"),
]


@pytest.mark.parametrize(("sent", "sentence"), WRONG)
async def test_what_cannot_be_so_is_answered_in_words_and_nothing_entered_is_lost(
    app: FastAPI, home: Household, sent: dict[str, Any], sentence: str
) -> None:
    browser = await visit(app, home.doctor.id, "en")
    answer = await browser.post(place(home), data=sent)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert f'name="value" inputmode="decimal" maxlength="20" required value="{sent["value"]}"' in answer.text
    assert f'value="{sent["until"]}"' in answer.text
    assert f">{sent['why']}</textarea>" in answer.text
    assert await settings(app, home) == []


async def test_a_parameter_that_is_none_is_refused(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    answer = await browser.post(place(home), data=form(name="made.up"))
    assert (answer.status_code, "That did not arrive whole" in answer.text) == (400, True)


async def test_a_care_worker_in_care_sees_it_and_cannot_set_it(app: FastAPI, home: Household) -> None:
    doctor = await visit(app, home.doctor.id)
    await doctor.post(place(home), data=form(why="tired"))
    browser = await visit(app, home.li_na.id, "en")
    page = await browser.get(place(home, "care"))
    assert "150 mmHg" in page.text
    assert "Why: tired" in page.text
    assert "Set another value" not in page.text
    assert '<input type="checkbox"' not in page.text
    for path in ("", "/usual", "/conditions"):
        assert (await browser.post(place(home) + path, data=form(holds="copd"))).status_code == 403
    assert len(await settings(app, home)) == 1


@pytest.mark.parametrize("face", ["doctor", "care"])
async def test_family_and_the_resident_herself_do_not_see_it(app: FastAPI, home: Household, face: str) -> None:
    for person in (home.daughter.id, home.wang_person, home.administrator.id):
        assert (await (await visit(app, person)).get(place(home, face))).status_code == 403


async def test_only_a_doctor_of_hers_sets_it(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id)
    async with app.state.database.service() as c:
        await residents.end_relation(c, home.doctor.id, home.wang, "doctor")
    assert (await browser.get(place(home))).status_code == 404
    for path in ("", "/usual", "/conditions"):
        assert (await browser.post(place(home) + path, data=form(holds="copd"))).status_code == 404
    assert await settings(app, home) == []


async def test_a_form_from_elsewhere_sets_nothing(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id)
    for path in ("", "/usual", "/conditions"):
        assert (await browser.post(place(home) + path, data=form(csrf="guessed"))).status_code == 403
    assert await settings(app, home) == []


async def test_who_looked_and_who_set_what_is_written_down(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id)
    await browser.get(place(home))
    await browser.get(place(home), headers={"X-Live": "1"})
    await browser.post(place(home), data=form())
    await browser.post(f"{place(home)}/usual", data=form())
    await browser.post(f"{place(home)}/conditions", data={"csrf": "csrf", "holds": "copd"})
    async with app.state.database.service() as c:
        cursor = await c.execute(
            "SELECT action, detail FROM audit WHERE person_id = %s AND resident_id = %s ORDER BY id",
            [home.doctor.id, home.wang],
        )
        assert await cursor.fetchall() == [
            ("opened_targets", {}),
            ("value_set", {"name": SYSTOLIC_HIGH, "value": 150.0, "until": None}),
            ("value_ended", {"name": SYSTOLIC_HIGH}),
            ("conditions_changed", {"added": ["copd"], "removed": []}),
        ]


async def test_a_value_that_another_protocol_allowed_is_shown_as_what_does_not_count(
    app: FastAPI, home: Household
) -> None:
    async with app.state.database.service() as c:
        await parameters.set_own(c, home.wang, SYSTOLIC_HIGH, 190.0, NOW, by=home.doctor.id, why="")
        await parameters.set_own(c, home.wang, "gone.value", 7.0, NOW, by=home.doctor.id, why="")
    browser = await visit(app, home.doctor.id, "en")
    said = words_of((await browser.get(place(home))).text)
    assert "190 mmHg was set for her or him and does not count: it lies outside the bounds." in said
    assert "gone.value: 7, for good" in said
    await browser.post(f"{place(home)}/usual", data=form())
    assert "does not count" not in (await browser.get(place(home))).text


OXYGEN, SYSTOLIC = PROTOCOL.parameters


@pytest.mark.parametrize(
    ("text", "number"), [("88", 88.0), (" 88 ", 88.0), ("８８", 88.0), ("88.0", 88.0), ("88.5", None), ("1e2", None)]
)
def test_a_number_is_read_in_any_width_and_no_finer_than_it_is_shown(text: str, number: float | None) -> None:
    found = check(Entered("spo2.low", text, "", "why"), OXYGEN, EN)
    assert (found.value if isinstance(found, Accepted) else None) == number


def test_the_last_day_belongs_to_it_by_the_clock_of_her_home() -> None:
    found = check(Entered("spo2.low", "88", "2026-11-24", "why"), OXYGEN, ZH)
    assert isinstance(found, Accepted)
    assert found.until is not None
    assert found.until.astimezone(UTC) == datetime(2026, 11, 24, 16, 0, tzinfo=UTC), "midnight in Shanghai"
    assert isinstance(check(Entered("spo2.low", "88", "2026-11-23", "why"), OXYGEN, ZH), Wrong)


async def test_it_says_what_happens_when_with_her_own_numbers(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    await browser.post(place(home), data=form("spo2.low", 86))
    said = words_of((await browser.get(place(home))).text)
    assert "Soon 1 Low oxygen Fires when oxygen saturation is at most 86%. Staff are called." in said
    await browser.post(place(home), data=form("spo2.low", 85))
    chinese = words_of((await (await visit(app, home.doctor.id, "zh_Hans")).get(place(home))).text)
    assert "血氧低 血氧饱和度不高于85%时触发。通知护理员。" in chinese
