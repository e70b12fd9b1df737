"""The wall screen and the line over every page: who waits, who comes, and that nobody has come, said to all staff."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI

from clinicians.station import MOST_PLACES, chain, on_duty_now, wall
from store import alerts
from store.people import Person
from store.portal import CentreAlert
from store.rota import Roster
from store.self_watch import Standing
from tests.clinicians.lived import Lived, live_in, open_service, raise_alert, visit
from tests.clinicians.test_worklist import EN, NOW

WAITING = CentreAlert(
    id=1,
    resident_id=1,
    priority="high",
    state="notifying",
    call=1,
    raised_at=NOW - timedelta(minutes=3),
    climb_at=NOW + timedelta(minutes=1),
    exhausted_at=None,
    acknowledged_at=None,
    attended_at=None,
    name_zh="王秀英",
    name_en="Wang Xiuying",
    address_zh="9号楼502",
    address_en="Bldg 9-502",
    taker_zh=None,
    taker_en=None,
)
COMING = replace(WAITING, id=2, state="acknowledged", acknowledged_at=NOW, taker_en="Na Li")
EXHAUSTED = replace(WAITING, id=3, resident_id=3, exhausted_at=NOW)
SOON = replace(WAITING, id=4, resident_id=4, priority="medium")
WHOLE = Standing(every_s=300.0, since=NOW - timedelta(days=1), proved_at=NOW, stuck=None, oldest_high=None)


def test_several_alerts_of_a_resident_are_one_place_and_the_worst_stands_for_all() -> None:
    (place,) = wall([COMING, WAITING], {1: "Fall", 2: "Pulse"}, EN).unanswered
    assert (place.standing, place.sentence, place.count, place.at) == ("waiting", "Fall", 2, WAITING.raised_at)


def test_whom_nobody_answers_comes_first_and_sounds_worst() -> None:
    found = wall([SOON, WAITING, EXHAUSTED], {}, EN)
    assert [place.resident_id for place in found.unanswered] == [3, 1, 4]
    assert found.sounds == "exhausted"


def test_only_what_is_urgent_sounds_and_only_until_it_is_taken() -> None:
    assert wall([SOON], {}, EN).sounds == ""
    assert wall([WAITING], {}, EN).sounds == "waiting"
    assert wall([COMING], {}, EN).sounds == ""


def test_what_is_held_back_is_shown_when_its_first_call_is_overdue_and_not_before() -> None:
    asked = replace(WAITING, state="raised", call=0, climb_at=NOW + timedelta(seconds=30))
    assert wall([asked], {}, EN).unanswered == ()
    assert wall([replace(asked, climb_at=NOW)], {}, EN).sounds == "waiting"
    lapsed = replace(asked, call=2)
    assert wall([lapsed], {}, EN).sounds == "waiting"


def test_who_has_no_room_is_counted() -> None:
    rows = [replace(WAITING, id=n, resident_id=n) for n in range(MOST_PLACES + 3)]
    found = wall(rows, {}, EN)
    assert (len(found.unanswered), found.more) == (MOST_PLACES, 3)


def test_who_is_on_the_way_and_who_is_there() -> None:
    there = replace(COMING, id=5, resident_id=5, state="attended", attended_at=NOW)
    assert [(p.standing, p.taker, p.at) for p in wall([COMING, there], {}, EN).answered] == [
        ("coming", "Na Li", NOW),
        ("there", "Na Li", NOW),
    ]


def test_the_chain_says_when_it_last_proved_itself_and_when_it_should_have() -> None:
    assert [(r.text, r.is_bad) for r in chain(WHOLE, EN)] == [
        ("Calls tested just now", False),
        ("No urgent message waits", False),
    ]
    late = replace(WHOLE, proved_at=NOW - timedelta(minutes=16), oldest_high=NOW - timedelta(minutes=3))
    assert [(r.text, r.is_bad) for r in chain(late, EN)] == [
        ("The test of the calls has not come through since today 17:44", True),
        ("An urgent message has not been delivered for 3 minutes", True),
    ]


def test_a_roster_that_must_be_manned_and_is_not_comes_first() -> None:
    first = Roster(1, "一线", "First called", "care_worker", 1, None, must_cover=True, removed_at=None)
    optional = replace(first, id=2, name_en="Volunteers", must_cover=False)
    nobody: dict[object, Person] = {}
    assert [(d.roster, d.is_gap) for d in on_duty_now((), (optional, first), nobody, EN)] == [("First called", True)]  # type: ignore[arg-type]


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    return await live_in(app.state.database, datetime.now(UTC))


async def exhaust(app: FastAPI, number: int, now: datetime) -> None:
    async with app.state.database.service() as c:
        await alerts.update(c, number, {"exhausted_at": now})


@pytest.mark.anyio
async def test_a_care_worker_s_wall_says_what_it_is_and_an_administrator_s_does_not(app: FastAPI, lived: Lived) -> None:
    html = (await (await visit(app, lived.home.li_na.id, "en")).get("/station")).text
    for said in ("Wang Xiuying", "Bldg 9-502", "Blood pressure 192/118", "Na Li", 'data-alarm="waiting"'):
        assert said in html
    html = (await (await visit(app, lived.home.administrator.id, "zh_Hans")).get("/station")).text
    assert "王秀英" in html
    assert "192/118" not in html
    assert "血压" not in html


@pytest.mark.anyio
async def test_a_care_worker_reads_only_names_of_those_she_does_not_care_for(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await c.execute("DELETE FROM relation WHERE person_id = %s", [lived.home.li_na.id])
    html = (await (await visit(app, lived.home.li_na.id, "en")).get("/station")).text
    assert "Wang Xiuying" in html
    assert "192/118" not in html


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["doctor", "daughter"])
async def test_the_wall_is_for_care_workers_and_administrators(app: FastAPI, lived: Lived, face: str) -> None:
    person = getattr(lived.home, face)
    assert (await (await visit(app, person.id)).get("/station")).status_code == 403


@pytest.mark.anyio
async def test_a_task_nobody_is_called_to_is_not_on_the_wall(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await alerts.update(c, lived.severe, {"state": "resolved", "climb_at": None})
        await raise_alert(c, lived.home.zhao, "device.battery", lived.now, {"battery": 9.0})
    html = (await (await visit(app, lived.home.li_na.id, "en")).get("/station")).text
    assert "Nobody waits" in html
    assert "Zhao" not in html


@pytest.mark.anyio
async def test_every_page_of_staff_and_administrators_says_that_nobody_has_come(app: FastAPI, lived: Lived) -> None:
    home = lived.home
    pages = [
        (home.li_na.id, ["/care", f"/care/residents/{home.zhao}"]),
        (home.doctor.id, ["/doctor", f"/doctor/residents/{home.zhao}", "/doctor/quality"]),
        (home.administrator.id, ["/admin", "/admin/residents", "/admin/device-types", "/admin/gateways/999"]),
    ]
    for exhausted in (False, True):
        for person, paths in pages:
            browser = await visit(app, person, "en")
            for path in paths:
                html = (await browser.get(path)).text
                assert ("Nobody has come: Wang Xiuying, Bldg 9-502." in html) is exhausted, path
        await exhaust(app, lived.severe, lived.now)
    html = (await (await visit(app, home.administrator.id, "en")).get("/admin")).text
    assert "192/118" not in html


@pytest.mark.anyio
async def test_families_residents_and_other_centres_do_not_read_it(app: FastAPI, lived: Lived) -> None:
    await exhaust(app, lived.severe, lived.now)
    daughter = await visit(app, lived.home.daughter.id, "en")
    html = (await daughter.get("/family")).text
    assert "Mum may need help, and nobody has answered our calls yet." in html
    assert 'id="loud"' not in html
    async with app.state.database.service() as c:
        await c.execute(
            "INSERT INTO centre (name_zh, name_en, phone, time_zone) VALUES ('别处', 'Elsewhere', NULL, 'Asia/Shanghai')"
        )
        await c.execute(
            "UPDATE person SET centre_id = (SELECT max(id) FROM centre) WHERE id = %s", [lived.home.doctor.id]
        )
        await c.execute("DELETE FROM relation WHERE person_id = %s", [lived.home.doctor.id])
    assert "Wang" not in (await (await visit(app, lived.home.doctor.id, "en")).get("/doctor")).text
