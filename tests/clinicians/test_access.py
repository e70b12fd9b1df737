"""Who gets which page: the face decides the portal, the care relation decides the resident."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from store import alerts, messages, people, residents
from tests.clinicians.lived import Lived, live_in, open_service, visit

pytestmark = pytest.mark.anyio

PAGES = {"doctor": "/doctor", "care_worker": "/care", "family": "/family", "resident": "/me", "administrator": "/admin"}


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    return await live_in(app.state.database, datetime.now(UTC))


def person(lived: Lived, face: str) -> UUID:
    home = lived.home
    return {
        "doctor": home.doctor.id,
        "care_worker": home.li_na.id,
        "family": home.daughter.id,
        "resident": home.wang_person,
        "administrator": home.administrator.id,
    }[face]


async def stranger(app: FastAPI, face: str) -> UUID:
    """Somebody with the face and without any resident."""
    async with app.state.database.service() as c:
        made = await people.add_person(c, 1, "生人", "A Stranger", None, "en")
        await people.add_account(c, made.id, "stranger", "!", face)
        return made.id


@pytest.mark.parametrize("face", PAGES)
@pytest.mark.parametrize("language", ["zh_Hans", "en"])
async def test_each_face_opens_its_own_page_in_its_language(
    app: FastAPI, lived: Lived, face: str, language: str
) -> None:
    browser = await visit(app, person(lived, face), language)
    front = await browser.get("/")
    assert (front.status_code, front.headers["location"]) == (303, PAGES[face])
    page = await browser.get(PAGES[face])
    assert page.status_code == 200
    assert f'<html lang="{"zh-CN" if language == "zh_Hans" else "en-GB"}">' in page.text
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("face", PAGES)
@pytest.mark.parametrize("other", PAGES)
async def test_another_face_s_page_is_refused_in_words(app: FastAPI, lived: Lived, face: str, other: str) -> None:
    browser = await visit(app, person(lived, face), "en")
    page = await browser.get(PAGES[other])
    assert page.status_code == (200 if face == other else 403)
    if face != other:
        assert "This page is for somebody else" in page.text
        assert f'href="{PAGES[face]}"' in page.text


@pytest.mark.parametrize(("face", "path"), [("doctor", "/doctor/residents/"), ("care_worker", "/care/residents/")])
async def test_a_resident_not_in_one_s_care_is_not_there(app: FastAPI, lived: Lived, face: str, path: str) -> None:
    known = await visit(app, person(lived, face))
    assert (await known.get(f"{path}{lived.home.wang}")).status_code == 200
    browser = await visit(app, await stranger(app, face), "en")
    page = await browser.get(f"{path}{lived.home.wang}")
    assert page.status_code == 404
    assert "There is no such page" in page.text
    assert "Wang Xiuying" not in page.text


async def test_a_number_that_is_none_is_no_page(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id, "zh_Hans")
    page = await browser.get("/doctor/residents/wang")
    assert page.status_code == 404
    assert "没有这个页面" in page.text


async def test_an_ended_relation_closes_the_page(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await residents.end_relation(c, lived.home.doctor.id, lived.home.wang, "doctor")
    browser = await visit(app, lived.home.doctor.id)
    assert (await browser.get(f"/doctor/residents/{lived.home.wang}")).status_code == 404
    assert "王秀英" not in (await browser.get("/doctor")).text


@pytest.mark.parametrize("verb", ["acknowledge", "decline", "resolve", "shelve"])
async def test_a_care_worker_cannot_touch_an_alert_of_somebody_she_does_not_care_for(
    app: FastAPI, lived: Lived, verb: str
) -> None:
    browser = await visit(app, await stranger(app, "care_worker"))
    form = {"csrf": "csrf", "outcome": "well", "until": "1"}
    answer = await browser.post(f"/care/alerts/{lived.severe}/{verb}", data=form)
    assert answer.status_code == 404
    async with app.state.database.service() as c:
        row = await alerts.alert(c, lived.severe)
    assert row is not None
    assert row.state == "notifying"


async def call(app: FastAPI, lived: Lived, person_id: UUID) -> None:
    """Call her to Wang's alert, as the ladder does."""
    to_her = messages.NewMessage(
        purpose="alert",
        priority="high",
        person_id=person_id,
        channel="sms",
        address="+8613900000077",
        language="en",
        body="Wang Xiuying, Bldg 9-502",
        due_at=lived.now,
        expires_at=lived.now + timedelta(minutes=15),
        made_at=lived.now,
        alert_id=lived.severe,
        resident_id=lived.home.wang,
        step=1,
    )
    async with app.state.database.service() as c:
        await messages.add(c, [to_her])


async def test_who_is_called_to_somebody_she_is_not_related_to_finds_her_until_it_is_closed(
    app: FastAPI, lived: Lived
) -> None:
    """She who is on duty tonight for another courtyard: the call alone must not be all she knows."""
    called = await stranger(app, "care_worker")
    browser = await visit(app, called, "en")
    assert "Wang Xiuying" not in (await browser.get("/care")).text
    await call(app, lived, called)
    html = (await browser.get("/care")).text
    assert "Wang Xiuying" in html
    assert "192/118" in html
    assert "Called: A Stranger (SMS: still to come)" in html
    assert "Zhao Deming" not in html
    assert (await browser.get(f"/care/residents/{lived.home.wang}")).status_code == 200
    async with app.state.database.service() as c:
        looked = await c.execute(
            "SELECT resident_id FROM audit WHERE action = 'opened_resident' AND person_id = %s", [called]
        )
        assert await looked.fetchall() == [(lived.home.wang,)]
    await browser.post(f"/care/alerts/{lived.severe}/attend", data={"csrf": "csrf"})
    await browser.post(f"/care/alerts/{lived.severe}/resolve", data={"csrf": "csrf", "outcome": "helped"})
    assert (await browser.get(f"/care/residents/{lived.home.wang}")).status_code == 404
    assert "Wang Xiuying" not in (await browser.get("/care")).text


async def test_a_call_opens_nothing_to_who_is_no_staff_of_the_centre(app: FastAPI, lived: Lived) -> None:
    relative = await stranger(app, "family")
    await call(app, lived, relative)
    assert "Wang" not in (await (await visit(app, relative, "en")).get("/family")).text
    async with app.state.database.service() as c:
        elsewhere = await people.add_centre(c, "别处", "Elsewhere", None, "Asia/Shanghai")
        await c.execute("UPDATE account SET face = 'care_worker' WHERE person_id = %s", [relative])
        await c.execute("UPDATE person SET centre_id = %s WHERE id = %s", [elsewhere, relative])
    assert "Wang" not in (await (await visit(app, relative, "en")).get("/care")).text


@pytest.mark.parametrize("face", ["doctor", "family", "resident"])
async def test_only_care_workers_act_on_the_board(app: FastAPI, lived: Lived, face: str) -> None:
    browser = await visit(app, person(lived, face))
    answer = await browser.post(f"/care/alerts/{lived.severe}/acknowledge", data={"csrf": "csrf"})
    assert answer.status_code == 403


async def test_a_form_from_elsewhere_is_refused(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.li_na.id)
    answer = await browser.post(f"/care/alerts/{lived.severe}/acknowledge", data={"csrf": "guessed"})
    assert answer.status_code == 403
    async with app.state.database.service() as c:
        row = await alerts.alert(c, lived.severe)
    assert row is not None
    assert row.state == "notifying"


async def test_who_is_not_signed_in_is_led_to_the_door(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://hearthwatch.test") as browser:
        answer = await browser.get("/doctor", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        door = await browser.get("/sign-in", headers={"Accept": "text/html", "Accept-Language": "en"})
        assert "Good to see you" in door.text


@pytest.mark.parametrize("face", PAGES)
async def test_pages_bear_no_inline_style_or_script(app: FastAPI, lived: Lived, face: str) -> None:
    browser = await visit(app, person(lived, face))
    paths = [PAGES[face]]
    if face in ("doctor", "care_worker"):
        paths.append(f"{PAGES[face]}/residents/{lived.home.wang}")
    for path in paths:
        html = (await browser.get(path)).text
        assert " style=" not in html
        assert "<style" not in html
        assert " onclick" not in html
        assert html.count("<script") == html.count("<script src=")
