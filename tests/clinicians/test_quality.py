"""The pages of alarm quality: to a doctor her own residents, to an administrator counts and equipment and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI

from store import alerts
from tests.clinicians.lived import PROTOCOL, Lived, live_in, open_service, raise_alert, visit

pytestmark = pytest.mark.anyio

WORTH_IT = "Of the urgent alerts that somebody has closed, 1 of 2 were worth it"


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    """The household, with two falls that were closed, and a pressure and a battery that have stood for days."""
    lived = await live_in(app.state.database, datetime.now(UTC))
    home, now = lived.home, lived.now
    async with app.state.database.service() as c:
        for days, outcome in ((2, "helped"), (4, "false_alarm: the sofa")):
            at = now - timedelta(days=days)
            number = await raise_alert(c, home.wang, "fall", at, {"probability": 0.9}, step=1)
            end = at + timedelta(minutes=9)
            closed = {"state": "resolved", "resolved_at": end, "resolved_by": home.li_na.id, "outcome": outcome}
            await alerts.update(c, number, closed)
        await raise_alert(c, home.zhao, "device.battery", now - timedelta(days=3), {"battery": 9.0, "device": 4.0})
        await raise_alert(c, home.zhao, "bp.missing", now - timedelta(days=20), {"days": 5.0, "hours": 120.0})
        await raise_alert(c, home.zhao, "bp.low", now - timedelta(days=2), {"systolic": 84.0, "diastolic": 52.0})
    return lived


def title(rule_id: str, language: str) -> str:
    rule = PROTOCOL.rule(rule_id)
    assert rule is not None
    return rule.titles[language]


async def test_a_doctor_reads_what_became_of_the_alerts_of_her_residents(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id, "en")
    assert 'href="/doctor/quality"' in (await browser.get("/doctor")).text
    html = (await browser.get("/doctor/quality?days=7")).text
    assert "6 alerts in 7 days, 0.9 a day, of 2 residents." in html
    assert WORTH_IT in html
    assert title("fall", "en") in html
    assert "Zhao Deming" in html
    assert "84/52" in html


async def test_it_speaks_chinese(app: FastAPI, lived: Lived) -> None:
    html = (await (await visit(app, lived.home.doctor.id, "zh_Hans")).get("/doctor/quality?days=90")).text
    assert "2位老人，90天内共7条警报" in html
    assert title("fall", "zh_Hans") in html


async def test_an_administrator_sees_counts_and_of_residents_their_equipment_alone(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.administrator.id, "en")
    assert 'href="/admin/quality"' in (await browser.get("/admin")).text
    html = (await browser.get("/admin/quality?days=7")).text
    assert WORTH_IT in html
    assert "Zhao Deming" in html
    assert "84/52" not in html
    assert "1 more is about a resident" in html
    assert "the sofa" not in html


@pytest.mark.parametrize(
    ("who", "path"), [("li_na", "/doctor/quality"), ("doctor", "/admin/quality"), ("daughter", "/admin/quality")]
)
async def test_it_is_for_nobody_else(app: FastAPI, lived: Lived, who: str, path: str) -> None:
    assert (await (await visit(app, getattr(lived.home, who).id)).get(path)).status_code == 403


async def test_what_comes_again_and_again_says_how_often_and_what_stands_for_long_since_when(
    app: FastAPI, lived: Lived
) -> None:
    async with app.state.database.service() as c:
        for minutes in (4, 3):
            at = lived.now - timedelta(minutes=minutes)
            await alerts.add_event(c, lived.severe, lived.home.wang, "raised_again", at=at)
    board = (await (await visit(app, lived.home.li_na.id, "en")).get("/care")).text
    assert "3 times since " in board
    assert "comes and goes within minutes" in board
    assert "Open for 3 days" in board
    doctor = (
        await (await visit(app, lived.home.doctor.id, "zh_Hans")).get(f"/doctor/residents/{lived.home.wang}")
    ).text
    assert "起共3次" in doctor
