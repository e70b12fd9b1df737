"""What a doctor sets for a condition goes for everybody in her centre who has it, and for nobody else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi import FastAPI

from alerts import judging
from store import parameters, people
from store.postgres import value
from tests.alerts.test_judging import PROTOCOL
from tests.clinicians.lived import visit
from tests.clinicians.test_targets import app, form, home, words_of
from tests.household import Household

__all__ = ["app", "home"]

pytestmark = pytest.mark.anyio

PLACE = "/doctor/groups/copd"


async def oxygen(app: FastAPI, resident: int) -> float:
    async with app.state.database.service() as c:
        found = await judging.profile_of(c, PROTOCOL, resident, datetime.now(UTC))
    return found.value(PROTOCOL.parameters[0])


async def test_it_goes_for_all_of_the_centre_who_have_it_until_it_is_taken_back(app: FastAPI, home: Household) -> None:
    async with app.state.database.service() as c:
        await parameters.change_conditions(c, home.wang, ["copd"], [], by=home.doctor.id)
    browser = await visit(app, home.doctor.id, "en")
    assert "COPD" in (await browser.get("/doctor/groups")).text
    said = words_of((await browser.get(PLACE)).text)
    assert "Oxygen alarm level 87% by condition The protocol's value with this condition: COPD." in said
    sent = await browser.post(PLACE, data=form("spo2.low", 86, why="oxygen at home"))
    assert (sent.status_code, sent.headers["location"]) == (303, f"{PLACE}?told=set#main")
    said = words_of((await browser.get(sent.headers["location"])).text)
    assert "From now on all residents with this condition are judged by it." in said
    assert "86% by condition Your centre's value with this condition: COPD. Liu Jianguo," in said
    assert "Back to the usual: 87%" in said
    assert "1 value set by the centre" in words_of((await browser.get("/doctor/groups")).text)
    assert (await oxygen(app, home.wang), await oxygen(app, home.zhao)) == (86, 91)
    await browser.post(f"{PLACE}/usual", data=form("spo2.low"))
    assert await oxygen(app, home.wang) == 87
    async with app.state.database.service() as c:
        audited = await value(c, "SELECT array_agg(action ORDER BY id) FROM audit WHERE action LIKE 'group%'")
    assert audited == ["group_value_set", "group_value_ended"]


async def test_what_cannot_be_so_comes_back_with_a_sentence_and_all_that_was_entered(
    app: FastAPI, home: Household
) -> None:
    browser = await visit(app, home.doctor.id, "zh_Hans")
    answer = await browser.post(PLACE, data=form("spo2.low", 99, why="在家吸氧"))
    assert answer.status_code == 400
    assert "请填写80到95%之间的整数。" in answer.text
    assert ">在家吸氧</textarea>" in answer.text
    assert 'value="99"' in answer.text


async def test_another_centre_neither_sees_nor_changes_it(app: FastAPI, home: Household) -> None:
    await (await visit(app, home.doctor.id)).post(PLACE, data=form("spo2.low", 86))
    async with app.state.database.service() as c:
        centre = await people.add_centre(c, "别处", "Elsewhere", None, "Asia/Shanghai")
        other = await people.add_person(c, centre, "外人", "Outsider", None, "en")
        await people.add_account(c, other.id, "outsider", "!", "doctor")
    browser = await visit(app, other.id, "en")
    assert "87%" in (await browser.get(PLACE)).text
    await browser.post(PLACE, data=form("spo2.low", 84))
    async with app.state.database.service() as c:
        found = await parameters.group_values(c, datetime.now(UTC))
    assert found == {home.centre: {("copd", "spo2.low"): 86.0}, centre: {("copd", "spo2.low"): 84.0}}


async def test_only_doctors_set_it_and_only_for_a_group_that_there_is(app: FastAPI, home: Household) -> None:
    doctor = await visit(app, home.doctor.id)
    assert (await doctor.get("/doctor/groups/stroke")).status_code == 404
    assert (await doctor.post("/doctor/groups/stroke", data=form("spo2.low", 86))).status_code == 404
    assert (await doctor.post(PLACE, data=form("made.up", 86))).status_code == 400
    assert (await doctor.post(PLACE, data=form("spo2.low", 86, csrf="guessed"))).status_code == 403
    for person in (home.li_na.id, home.daughter.id, home.wang_person, home.administrator.id):
        browser = await visit(app, person)
        assert (await browser.get(PLACE)).status_code == 403
        assert (await browser.post(PLACE, data=form("spo2.low", 86))).status_code == 403
    async with app.state.database.service() as c:
        assert await parameters.group_values(c, datetime.now(UTC)) == {}
