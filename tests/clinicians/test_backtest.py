"""The doctor tries a protocol on her own residents: asked, worked out beside the service, read; and charts for every eye."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from alerts import protocol
from alerts.backtest.counts import Comparison, Episode, Found, Line, Rate, Totals
from alerts.backtest.desk import Desk
from alerts.backtest.replay import Assumed
from clinicians import backtest_charts, backtest_page
from clinicians.words import Words
from store import history, people, readings, residents
from tests.clinicians.lived import open_service, visit
from tests.household import Household, batch, furnish

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
"""Where the rules core has not been compiled yet, the first process does that."""

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EN, ZH = Words.of("en", now=NOW), Words.of("zh_Hans", now=NOW)
HERE = "/doctor/backtest"
FORM = {"csrf": "csrf", "days": "30"}


def never_ends(pipe: Any, _dsn: str, _question: Any) -> None:
    pipe.send(("share", 0.5))
    time.sleep(60)


def dies(_pipe: Any, _dsn: str, _question: Any) -> None:
    os._exit(3)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def home(app: FastAPI) -> Household:
    """Mrs Wang called for help yesterday night and measured severe twice the week before."""
    now = datetime.now(UTC)
    async with app.state.database.service() as c:
        made = await furnish(c, now)
        await c.execute("UPDATE resident SET enrolled_at = %s", [now - timedelta(days=60)])
        for hours in (170.0, 169.9):
            at = now - timedelta(hours=hours)
            pair = [(made.wang, made.cuff, "systolic", 192.0, at), (made.wang, made.cuff, "diastolic", 118.0, at)]
            await readings.insert(c, batch(made, *pair, received_at=at))
        midnight = now.replace(hour=16, minute=30) - timedelta(days=1)
        await readings.insert(
            c, batch(made, (made.wang, made.button, "help_call", 1.0, midnight), received_at=midnight)
        )
    return made


async def stranger(app: FastAPI) -> UUID:
    """A doctor of the same centre who has nobody in her care."""
    async with app.state.database.service() as c:
        made = await people.add_person(c, 1, "生人", "A Stranger", None, "en")
        await people.add_account(c, made.id, "stranger", "!", "doctor")
        return made.id


async def tried(browser: httpx.AsyncClient, **form: str) -> str:
    """Send the form and wait for what comes of it."""
    version = protocol.load().version
    answer = await browser.post(HERE, data={**FORM, "new": version, **form})
    assert (answer.status_code, answer.headers["location"]) == (303, HERE), answer.text
    return await done(browser)


async def done(browser: httpx.AsyncClient) -> str:
    """The page once it no longer renews itself."""
    for _ in range(2_000):
        html = (await browser.get(HERE)).text
        if "data-soon" not in html:
            return html
        await asyncio.sleep(0.1)
    raise AssertionError("it is never done")


async def test_a_protocol_is_tried_on_her_own_residents_and_read_in_her_language(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    assert "Try a protocol" in (await browser.get(HERE)).text
    html = await tried(browser)
    assert "Both protocols would have raised about as many alerts." in html
    assert "2 residents, 60 resident-days" in html
    assert f'<a href="/doctor/residents/{home.wang}">Wang Xiuying</a>' in html
    assert "Blood pressure very high" in html
    assert html.count('role="img"') == 6
    chinese = (await (await visit(app, home.doctor.id, "zh_Hans")).get(HERE)).text
    assert "两个规程发出的警报大致一样多。" in chinese
    assert "王秀英" in chinese
    async with app.state.database.service() as c:
        await residents.end_relation(c, home.doctor.id, home.wang, "doctor")
    assert "王秀英" not in (await browser.get(HERE)).text


async def test_who_has_nobody_in_her_care_sees_nothing_of_anybody(app: FastAPI, home: Household) -> None:
    html = await tried(await visit(app, await stranger(app), "en"))
    assert "Nobody in your care was watched over in these days." in html
    assert "Wang" not in html


async def test_one_is_worked_out_at_a_time_and_can_be_stopped(app: FastAPI, home: Household) -> None:
    app.state.backtests = desk = Desk(app.state.database.dsn, work=never_ends)
    hers, other = await visit(app, home.doctor.id, "en"), await visit(app, await stranger(app), "en")
    form = {**FORM, "new": protocol.load().version}
    await hers.post(HERE, data=form)
    for _ in range(200):
        if "50 % done" in (page := (await hers.get(HERE)).text):
            break
        await asyncio.sleep(0.1)
    assert "50 % done" in page
    refused = await other.post(HERE, data=form)
    assert refused.status_code == 409
    assert "Another backtest is running." in refused.text
    await other.post(f"{HERE}/stop", data={"csrf": "csrf"})
    assert "50 % done" in (await hers.get(HERE)).text
    await hers.post(f"{HERE}/stop", data={"csrf": "csrf"})
    assert "It was stopped." in (await hers.get(HERE)).text
    assert multiprocessing.active_children() == []
    await desk.close()


@pytest.mark.parametrize(
    ("work", "longest_s", "said"),
    [(dies, 60.0, "Something went wrong on our side"), (never_ends, 0.5, "It took too long and was ended.")],
)
async def test_what_goes_wrong_is_said_and_leaves_no_process_behind(
    app: FastAPI, home: Household, work: Any, longest_s: float, said: str
) -> None:
    app.state.backtests = desk = Desk(app.state.database.dsn, longest_s=longest_s, work=work)
    assert said in await tried(await visit(app, home.doctor.id, "en"))
    await desk.close()
    assert multiprocessing.active_children() == []


async def test_the_end_of_the_service_ends_what_is_running(database_url: str) -> None:
    async with open_service(database_url) as app:
        async with app.state.database.service() as c:
            home = await furnish(c, datetime.now(UTC))
        desk: Desk = app.state.backtests
        desk._work = never_ends
        await (await visit(app, home.doctor.id)).post(HERE, data={**FORM, "new": protocol.load().version})
        assert len(multiprocessing.active_children()) == 1
    assert multiprocessing.active_children() == []


async def test_files_of_her_own_stand_in_the_place_of_those_of_the_same_name(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    name, text = next((n, t) for n, t in protocol.texts_in(protocol.SHIPPED).items() if 'id = "help_call"' in t)
    changed = text.replace('title.en = "Call for help"', 'title.en = "Help button"')
    form = {**FORM, "new": protocol.load().version}
    answer = await browser.post(HERE, data=form, files={"files": (name, changed.encode())})
    assert answer.status_code == 303
    html = await done(browser)
    assert "Help button" in html
    assert "only other words" in html


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (("own.toml", b'protocol = "own"\nversion = 2026-11-29\n'), "own.toml, line 1"),
        (("own.toml", b"\xff\xfe"), "This protocol cannot be read:"),
        (("own.xlsx", b"PK"), "files whose names end in .toml"),
    ],
)
async def test_a_file_that_is_no_protocol_is_refused_in_words(
    app: FastAPI, home: Household, file: tuple[str, bytes], said: str
) -> None:
    browser = await visit(app, home.doctor.id, "en")
    answer = await browser.post(HERE, data={**FORM, "new": protocol.load().version}, files={"files": file})
    assert answer.status_code == 400
    assert said in answer.text


async def test_only_doctors_try_protocols(app: FastAPI, home: Household) -> None:
    for person in (home.li_na.id, home.daughter.id, home.administrator.id):
        browser = await visit(app, person)
        assert (await browser.get(HERE)).status_code == 403
        assert (await browser.post(HERE, data=FORM)).status_code == 403
    doctor = await visit(app, home.doctor.id)
    assert (await doctor.post(HERE, data={**FORM, "new": "2020-01-01-00000000"})).status_code == 404
    assert (await doctor.post(HERE, data={**FORM, "new": protocol.load().version, "days": "9000"})).status_code == 400


async def test_a_hospital_visit_is_noted_and_shown(app: FastAPI, home: Household) -> None:
    browser = await visit(app, home.doctor.id, "en")
    path = f"/doctor/residents/{home.wang}/hospital"
    form = {"csrf": "csrf", "day": "2026-01-31", "hour": "7", "reason": "chest pain"}
    answer = await browser.post(path, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    html = (await browser.get(path)).text
    assert "31 Jan" in html
    assert "07:00" in html
    assert "chest pain" in html
    async with app.state.database.service() as c:
        (noted,) = await history.hospital_visits(c, [home.wang], NOW - timedelta(days=999), NOW)
    assert noted.went_at == datetime(2026, 1, 30, 23, tzinfo=UTC)
    for wrong in ({"day": "2999-01-01"}, {"reason": " "}, {"hour": "24"}):
        assert (await browser.post(path, data={**form, **wrong})).status_code == 400
    other = await visit(app, await stranger(app))
    assert (await other.get(path)).status_code == 404
    assert (await other.post(path, data=form)).status_code == 404


# The page itself


def rate(count: int) -> Rate:
    return Rate(count, count / 10, count / 20, count / 5)


def totals(version: str, count: int) -> Totals:
    hours = tuple(count if hour in (3, 12) else 0 for hour in range(24))
    rates = [rate(count)] * 2 + [rate(1), rate(2)]
    return Totals(version, *rates, hours, (1.0, 2.0), {7: count, 8: 1}, 2, 3)


def line(rule: str, title: str, **more: Any) -> Line:
    plain: dict[str, Any] = {
        "rule": rule, "titles": {"en": title, "zh_Hans": title}, "priority": "high", "change": "", "is_given": False,
        "against": rate(4), "new": rate(2), "more": (-0.3, -0.1), "asked": (0.0, 0.0),
    }  # fmt: skip
    return Line(**{**plain, **more})


FOUND = Comparison(
    since=NOW - timedelta(days=14),
    until=NOW,
    residents=20,
    resident_days=280.0,
    readings=12_345,
    assumed=Assumed(),
    against=totals("old", 4),
    new=totals("new", 2),
    more=(-0.4, -0.1),
    by_priority=(line("", ""),),
    by_rule=(
        line("bp.severe", "Pressure <very> high"),
        line("spo2.low", "Oxygen low", change="new", against=None),
        line("device.silent", "Device silent", is_given=True, more=(0.0, 0.0)),
        line("quiet", "Quiet one", against=rate(0), new=rate(0), more=(0.0, 0.0)),
    ),
    found=(
        Found(Episode(7, NOW - timedelta(days=2), "hospital", "胸痛"), None, timedelta(hours=30), "", "bp.severe"),
        Found(Episode(8, NOW - timedelta(days=1), "fall", "fall"), timedelta(minutes=-2), timedelta(0), "fall", "fall"),
    ),
)
NAMES = {7: "Wang", 8: "Zhao"}


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
async def test_every_chart_is_told_in_words_and_drawn_with_attributes_alone(words: Words) -> None:
    names = set()
    for frame in backtest_charts.FRAMES:
        for drawing in (
            backtest_charts.by_rule(FOUND, words, frame),
            backtest_charts.by_hour(FOUND, words, frame),
            backtest_charts.by_week(FOUND, words, frame),
            backtest_charts.by_episode(FOUND, words, frame, NAMES.__getitem__),
        ):
            svg = ET.fromstring(drawing)
            title, description = svg[0], svg[1]
            assert svg.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
            assert title.text
            assert description.text
            assert not any({"style", "class"} & set(part.attrib) for part in svg.iter())
            x = [float(part.attrib["x"]) for part in svg.iter() if "x" in part.attrib]
            assert 0 <= min(x) <= max(x) <= frame.width
            names.add(title.attrib["id"])
    assert len(names) == 8


async def test_the_page_says_what_it_would_cost_and_what_it_would_find() -> None:
    page = backtest_page.view(FOUND, EN, NAMES)
    assert page.headline == "The new protocol would have raised fewer alerts."
    assert [row.cells for row in page.totals][-1] == ("1/2", "2/2")
    assert [(row.title, row.cells) for row in page.night] == [("Wang", ("4", "2")), ("Zhao", ("1", "1"))]
    assert [row.cells for row in page.episodes] == [("missed", "1 day before"), ("2 minutes after", "as it began")]
    assert page.rules[1].cells[0] == "–"
    assert page.rules[1].remark == "Urgent, new rule"
    assert page.rules[2].remark == "Urgent, as the record has it"
    assert page.silent == "Quiet one"
    assert any("Device silent" in sentence for sentence in page.assumptions)


async def test_the_file_is_whole_in_both_languages_and_escapes_what_it_is_told() -> None:
    for words in (EN, ZH):
        html = backtest_page.html(FOUND, words, backtest_page.numbered(FOUND, words))
        assert "<very>" not in html
        assert re.search(rf'<html lang="{words.html_language}">', html)
    assert "7号老人" in html
    assert "早1天" in html
