"""An administrator keeps the rota: no gap is overlooked, nothing nonsensical enters, and every answer has its reason."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinicians.rota import strips, times
from clinicians.rota.strips import Band
from clinicians.words import Words
from store.postgres import value
from tests.clinicians.manned import FRIDAY, Centre, elsewhere, open_centre

pytestmark = pytest.mark.anyio


@pytest.fixture
async def centre(database_url: str) -> AsyncIterator[Centre]:
    async with open_centre(database_url) as made:
        yield made


async def shift_of(centre: Centre, starts: str) -> int:
    """The number of the first roster's shift that begins at this time."""
    async with centre.app.state.database.service() as c:
        sql = "SELECT id FROM shift WHERE roster_id = %s AND starts = %s AND removed_at IS NULL"
        return int(await value(c, sql, [centre.first, starts]))


async def test_a_manned_rota_is_quiet_and_says_who_is_on_duty_now(centre: Centre) -> None:
    page = await (await centre.office()).read("/admin/rota")
    assert "The next 14 days are manned" in page
    assert "now Na Li until 20:00" in page
    assert "without anybody" not in page
    assert "Nobody is on duty" not in await (await centre.office()).read("/admin")


async def test_a_gap_stands_at_the_top_and_on_the_first_page_until_somebody_fills_it(centre: Centre) -> None:
    office, roster = await centre.office(), f"/admin/rota/rosters/{centre.first}"
    await office.send(f"{roster}/shifts/{await shift_of(centre, '20:00')}/end", last_day="2026-12-08")
    page = await office.read("/admin/rota")
    assert "2 times without anybody in the next 14 days" in page
    assert "Wed 9 Dec 20:00 to Thu 10 Dec 08:00 12 hours" in page
    assert "Nobody is on duty at 2 times in the next 14 days, first Wed 9 Dec 20:00" in await office.read("/admin")

    change = {"begins": "2026-12-09T20:00", "ends": "2026-12-10T08:00"}
    page = await office.send(f"{roster}/changes", change, person=centre.home.chen.id)
    assert "1 time without anybody" in page
    change = {"begins": "2026-12-10T20:00", "ends": "2026-12-11T08:00"}
    await office.send(f"{roster}/changes", change, person=centre.home.chen.id)
    assert "The next 14 days are manned" in await office.read("/admin/rota")


async def test_somebody_absent_leaves_a_gap_that_says_why_and_offers_her_hours(centre: Centre) -> None:
    office, chen = await centre.office(), centre.home.chen.id
    page = await office.send(f"/admin/rota/team/{chen}/away", kind="sick", begins="", ends="2026-11-28T12:00")
    assert "off sick until Sat 28 Nov 12:00" in page
    page = await office.read("/admin/rota")
    assert "Fri 27 Nov 20:00 to Sat 28 Nov 08:00 12 hours care_worker 1: Chen Jing is on duty but off sick." in page
    html = (await office.client.get("/admin/rota")).text
    place = re.search(r'href="(/admin/rota/rosters/\d+\?begins=2026-11-27T20:00[^"#]*)#change"', html)
    assert place
    form = (await office.client.get(place[1].replace("&amp;", "&"))).text
    assert 'value="2026-11-28T08:00"' in form
    assert f'<option value="{chen}" selected>' in form
    assert "The next 14 days are manned" not in await office.send(f"/admin/rota/team/{chen}/back")
    assert "The next 14 days are manned" in await office.read("/admin/rota")


async def test_a_roster_is_made_from_nothing(centre: Centre) -> None:
    office, home = await centre.office(), centre.home
    new = {"name_zh": "东院夜班", "name_en": "East nights", "role": "care_worker", "line": 3, "must_cover": "yes"}
    answer = await office.client.post(
        "/admin/rota/rosters", data={"csrf": "csrf", **{k: str(v) for k, v in new.items()}}
    )
    place = answer.headers["location"].partition("?")[0]
    page = await office.read(place)
    assert "care worker, called third · whole centre" in page
    assert "1 time without anybody" in page
    rotation = {"name_zh": "轮", "name_en": "Turns", "length": 2, "every": "days", "first_day": "2026-11-26",
                "first_time": "20:00", "person": [home.li_na.id, home.chen.id, ""]}  # fmt: skip
    page = await office.send(f"{place}/rotations", rotation)
    assert "Na Li → Chen Jing; handed over every 2 days, since Thu 26 Nov 20:00" in page
    async with centre.app.state.database.service() as c:
        number = await value(c, "SELECT id FROM rotation")
    hours = {"weekday": [1, 2, 3, 4, 5, 6, 7], "starts": "20:00", "ends": "08:00", "holidays": "also"}
    page = await office.send(f"{place}/shifts", hours, who=f"rotation {number}", valid_from="2026-11-20")
    assert "every day 20:00–08:00 of the next day rotation Turns" in page
    assert "now nobody" in page
    html = (await office.client.get(place)).text
    assert re.search(r"<dt>Sat 28 Nov</dt>\s*<dd>.*?20:00–24:00</span> Chen Jing", html, re.S)

    page = await office.send(f"{place}/rotations/{number}/remove", status=400)
    assert "Shifts still go by this rotation: end them first." in page
    page = await office.send(f"{place}/remove")
    assert "The roster is gone." in page
    assert "East nights" not in page


NONSENSE = [
    ({"begins": "2026-12-02T10:00", "ends": "2026-12-02T09:00"}, "It ends before it begins."),
    ({"begins": "2026-11-26T10:00", "ends": "2026-11-26T12:00"}, "That time is over."),
    ({"begins": "2026-12-02T10:00", "ends": "2027-12-02T10:00"}, "A change lasts 92 days at most."),
    ({"begins": "tomorrow", "ends": "2026-12-02T09:00"}, "Please say from when to when."),
    ({"begins": "2026-12-02T10:00", "ends": "2026-12-02T12:00", "person": ""}, "Please say who is on duty"),
    ({"begins": "2026-12-02T10:00", "ends": "2026-12-02T12:00", "person": "x"}, "not of this centre any more"),
]


async def test_a_nonsensical_change_is_refused_in_words_and_nothing_typed_is_lost(centre: Centre) -> None:
    office = await centre.office()
    for fields, sentence in NONSENSE:
        sent = {"person": centre.home.chen.id, "why": "school play"} | fields
        data = {"csrf": "csrf", **{name: str(text) for name, text in sent.items()}}
        page = await office.client.post(f"/admin/rota/rosters/{centre.first}/changes", data=data)
        assert page.status_code == 400
        assert sentence in page.text
        assert 'value="school play"' in page.text
        assert '<details id="add-change" open>' in page.text


async def test_who_is_on_duty_is_answered_in_order_with_every_reason(centre: Centre) -> None:
    office, home = await centre.office(), centre.home
    change = {"begins": "2026-11-28T20:00", "ends": "2026-11-29T08:00", "why": "her daughter's wedding"}
    await office.send(
        f"/admin/rota/rosters/{centre.first}/changes", change, person=home.li_na.id, instead_of=home.chen.id
    )
    page = await office.read(f"/admin/rota/who?resident={home.wang}&at=2026-11-29T03:10")
    assert "On duty for Wang Xiuying, Sun 29 Nov 03:10" in page
    first, second = page.index("care worker, called first"), page.index("care worker, called second")
    assert "Na Li until Sun 29 Nov 08:00" in page[first:second]
    assert (
        "Na Li is on duty in place of Chen Jing. Entered by Sun Lihua, today 10:00. Why: her daughter's wedding" in page
    )
    assert "Chen Jing would be on duty: The shift of Sat 28 Nov 20:00 to Sun 29 Nov 08:00." in page
    assert "Zhou Min" in page[second : page.index("supervisor, called first")]
    assert re.search(r"03:10 SMS to Na Li .* 03:12 SMS to Zhou Min", page)


async def test_those_on_duty_nearest_to_her_are_called_first(centre: Centre) -> None:
    office, home = await centre.office(), centre.home
    page = await office.send("/admin/rota/areas", name_zh="东院", name_en="East Courtyard")
    async with centre.app.state.database.service() as c:
        east = await value(c, "SELECT id FROM area")
    await office.send("/admin/rota/areas", name_zh="9号楼", name_en="Building 9", within=east)
    async with centre.app.state.database.service() as c:
        building = await value(c, "SELECT max(id) FROM area")
    page = await office.send("/admin/rota/areas/homes", resident=[home.wang], area=building)
    assert "Building 9 1 resident" in page
    page = await office.send(f"/admin/rota/areas/{building}/remove", status=400)
    assert "Residents still live in this area: move them first." in page
    page = await office.send(f"/admin/rota/areas/{east}", name_zh="东", name_en="East", within=building, status=400)
    assert "An area cannot lie in itself" in page

    new = {"name_zh": "东", "name_en": "East carers", "role": "care_worker", "line": 1, "area": east}
    answer = await office.client.post(
        "/admin/rota/rosters", data={"csrf": "csrf", **{k: str(v) for k, v in new.items()}}
    )
    place = answer.headers["location"].partition("?")[0]
    hours = {"weekday": [1, 2, 3, 4, 5], "starts": "08:00", "ends": "20:00", "holidays": "also"}
    await office.send(f"{place}/shifts", hours, who=home.doctor.id)
    assert "no roster stands for them" not in await office.read("/admin/rota")
    asked = "/admin/rota/who?at=2026-11-27T15:00&resident="
    assert "Liu Jianguo until Fri 27 Nov 20:00" in await office.read(f"{asked}{home.wang}")
    assert "Liu Jianguo until" not in await office.read(f"{asked}{home.zhao}")
    night = await office.read(f"/admin/rota/who?at=2026-11-27T23:00&resident={home.wang}")
    assert "In the roster East carers (East Courtyard) nobody is on duty who can be called." in night
    assert "The next is on duty from" not in night  # the next day is a Saturday
    assert "Chen Jing until Sat 28 Nov 08:00" in night


async def test_residents_for_whom_no_roster_stands_are_named_in_red(centre: Centre) -> None:
    office = await centre.office()
    await office.send("/admin/rota/areas", name_zh="东院", name_en="East Courtyard")
    async with centre.app.state.database.service() as c:
        await c.execute("UPDATE roster SET area_id = (SELECT id FROM area) WHERE id = %s", [centre.first])
        await c.execute("UPDATE resident SET area_id = (SELECT id FROM area) WHERE id = %s", [centre.home.wang])
    red = "For the residents of no area nobody is ever on duty as care worker, called first: no roster stands for them."
    assert f"Nobody is on duty for some residents {red}" in await office.read("/admin/rota")
    assert red in await office.read("/admin")


async def test_a_shift_that_rests_on_holidays_leaves_a_gap_there_that_is_explained(centre: Centre) -> None:
    office, roster = await centre.office(), f"/admin/rota/rosters/{centre.first}"
    page = await office.send(
        "/admin/rota/holidays", name_zh="元旦", name_en="New Year", first="2026-12-01", last="2026-12-02"
    )
    assert "Tue 1 Dec New Year" in page
    assert "Wed 2 Dec New Year" in page
    await office.send(f"{roster}/shifts/{await shift_of(centre, '08:00')}/end", last_day="2026-11-30")
    hours = {"weekday": [1, 2, 3, 4, 5, 6, 7], "starts": "08:00", "ends": "20:00", "valid_from": "2026-12-01"}
    page = await office.send(f"{roster}/shifts", hours, who=centre.home.li_na.id, holidays="not")
    assert "2 times without anybody" in page
    assert "from Tue 1 Dec" in page
    asked = await office.read(f"/admin/rota/who?resident={centre.home.wang}&at=2026-12-01T12:00")
    assert "A shift does not hold then, for its day is a holiday: New Year." in asked
    await office.send("/admin/rota/holidays/2026-12-01/remove")
    assert "1 time without anybody" in await office.read(roster)


async def test_a_helper_is_added_and_put_on_duty(centre: Centre) -> None:
    office = await centre.office()
    uncle = {"name_zh": "马大爷", "name_en": "Uncle Ma", "language": "zh_Hans"}
    assert "not a telephone number" in await office.send("/admin/rota/team", uncle, phone="123", status=400)
    taken = centre.home.chen.phone
    assert "is somebody else's" in await office.send("/admin/rota/team", uncle, phone=taken, status=400)
    page = await office.send("/admin/rota/team", uncle, phone="139 0000 0055")
    assert "Uncle Ma helper without an account" in page
    async with centre.app.state.database.service() as c:
        person = await value(c, "SELECT id FROM person WHERE name_en = 'Uncle Ma'")
    page = await office.send(f"/admin/rota/team/{person}/describe", skill=["first_aid", "keys"], tongue=["wuu"])
    assert "Uncle Ma helper without an account · first aid · has the keys · Wu, Shanghainese" in page
    change = {"begins": "2026-11-27T11:00", "ends": "2026-11-27T12:00"}
    page = await office.send(f"/admin/rota/rosters/{centre.first}/changes", change, person=person)
    assert "Uncle Ma is on duty besides." in page
    page = await office.send(f"/admin/rota/rosters/{centre.first}/changes/1/cancel")
    assert "None: the shifts below hold." in page


async def test_who_takes_turns_changes_and_whose_turn_it_is_stays(centre: Centre) -> None:
    office, home = await centre.office(), centre.home
    roster = f"/admin/rota/rosters/{home.rosters['care_worker_2']}"
    rotation = {"name_zh": "周", "name_en": "Weeks", "length": 1, "every": "weeks", "first_day": "2026-11-23",
                "first_time": "08:00", "person": [home.chen.id, home.li_na.id]}  # fmt: skip
    await office.send(f"{roster}/rotations", rotation)
    async with centre.app.state.database.service() as c:
        number = await value(c, "SELECT id FROM rotation")
    page = await office.send(f"{roster}/rotations/{number}/turns", person=[home.supervisor.id, home.chen.id])
    assert "Chen Jing → Zhou Min; handed over every week" in page


async def test_another_centre_s_rota_is_not_there(centre: Centre) -> None:
    outsider, roster = await elsewhere(centre), f"/admin/rota/rosters/{centre.first}"
    await outsider.read(roster, 404)
    await outsider.read(f"/admin/rota/who?resident={centre.home.wang}&at=2026-11-27T15:00", 404)
    for path in (
        f"{roster}/remove", f"{roster}/describe", f"{roster}/changes", f"/admin/rota/team/{centre.home.chen.id}/back",
        f"{roster}/shifts/{await shift_of(centre, '08:00')}/end",
    ):  # fmt: skip
        await outsider.send(
            path, status=404, name_zh="x", name_en="x", begins="2026-12-01T10:00", ends="2026-12-01T11:00"
        )
    assert "The next 14 days are manned" in await (await centre.office()).read("/admin/rota")


async def test_only_administrators_keep_the_rota_and_only_by_their_own_forms(centre: Centre) -> None:
    carer, office = await centre.window(centre.home.li_na.id), await centre.office()
    for path in ("", "/who", "/team", "/areas", "/holidays", f"/rosters/{centre.first}"):
        await carer.read(f"/admin/rota{path}", 403)
    forged = await office.client.post(f"/admin/rota/rosters/{centre.first}/remove", data={"csrf": "guessed"})
    assert forged.status_code in (400, 401, 403)
    assert "care_worker 1" in await office.read("/admin/rota")


async def test_whoever_asks_for_the_address_of_a_refused_form_is_led_to_its_page(centre: Centre) -> None:
    office, roster = await centre.office(), f"/admin/rota/rosters/{centre.first}"
    leads = {f"{roster}/changes": roster, f"{roster}/shifts/7/end": roster, "/admin/rota/rosters": "/admin/rota",
             "/admin/rota/team/7/away": "/admin/rota/team", "/admin/rota/areas/homes": "/admin/rota/areas",
             "/admin/policies/use": "/admin/policies", "/care/duty/away": "/care/duty"}  # fmt: skip
    for sent, place in leads.items():
        answer = await office.client.get(sent)
        assert (answer.status_code, answer.headers["location"]) == (303, place)
        assert (await office.client.get(sent, headers={"X-Live": "1"})).status_code == 404


async def test_every_page_speaks_chinese(centre: Centre) -> None:
    office = await centre.office("zh_Hans")
    async with centre.app.state.database.service() as c:
        await c.execute("DELETE FROM shift WHERE starts = '20:00'")
    page = await office.read("/admin/rota")
    assert "今后14天有14处无人值班" in page
    assert "11月27日（周五）20:00至11月28日（周六）08:00" in page
    asked = await office.read(f"/admin/rota/who?resident={centre.home.wang}&at=2026-11-27T12:00")
    assert "11月27日（周五）12:00为王秀英值班的人" in asked
    assert "12:00 发短信给李娜" in asked


BERLIN = Words("en", ZoneInfo("Europe/Berlin"), datetime(2026, 10, 20, 12, 0, tzinfo=UTC))


@given(st.lists(st.integers(0, 14 * 24 * 4), min_size=2, max_size=8, unique=True), st.booleans())
@settings(deadline=None)
def test_a_drawing_leaves_no_room_and_doubles_none_also_where_a_day_has_25_hours(cuts: list[int], narrow: bool) -> None:
    first = strips.midnight(date(2026, 10, 20), BERLIN)
    moments = [first + timedelta(minutes=15 * cut) for cut in sorted({0, *cuts, 14 * 24 * 4 + 4})]
    bands = [Band(a, b, f"Person {n}", f"P{n}", n) for n, (a, b) in enumerate(pairwise(moments))]
    drawn = strips.draw(bands, date(2026, 10, 20), "what is seen", BERLIN)
    text = drawn.narrow if narrow else drawn.wide
    rows: dict[str, list[tuple[float, float]]] = {}
    for x, y, width in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', text):
        rows.setdefault(y, []).append((float(x), float(x) + float(width)))
    for row in rows.values():
        for (_, end), (start, _) in pairwise(sorted(row)):
            assert abs(start - end - 1) < 0.3 or start - end < 1  # a hair of paper between two, no more


def test_a_drawing_says_a_name_as_far_as_there_is_room_and_escapes_it() -> None:
    start = strips.midnight(date(2026, 10, 21), BERLIN)
    long = Band(start, start + timedelta(hours=24), "<b>Na</b> & Co", "N", 0)
    short = Band(start + timedelta(days=1), start + timedelta(days=1, hours=4), "Bartholomew Longname", "BL", 1)
    nobody = Band(start + timedelta(days=2), start + timedelta(days=2, hours=12), short="nobody")
    drawn = strips.draw([long, short, nobody], date(2026, 10, 20), 'a "rota"', BERLIN).wide
    assert "&lt;b&gt;Na&lt;/b&gt; &amp; Co" in drawn
    assert ">BL<" in drawn
    assert "Bartholomew" not in drawn
    assert ">nobody<" in drawn
    assert 'aria-label="a &#34;rota&#34;"' in drawn


@pytest.mark.parametrize(
    ("begins", "ends", "english", "chinese"),
    [
        ("2026-11-27T10:00", "2026-11-27T12:00", "Fri 27 Nov 10:00 to 12:00", "11月27日（周五）10:00至12:00"),
        ("2026-11-27T20:00", "2026-11-28T08:00", "Fri 27 Nov 20:00 to Sat 28 Nov 08:00", "11月27日（周五）20:00至11月28日（周六）08:00"),
        ("2026-11-27T00:00", "2026-11-28T00:00", "Fri 27 Nov 00:00 to 24:00", "11月27日（周五）00:00至24:00"),
    ],
)  # fmt: skip
def test_hours_are_said_with_their_day_once(begins: str, ends: str, english: str, chinese: str) -> None:
    for language, said in (("en", english), ("zh_Hans", chinese)):
        words = Words.of(language, now=FRIDAY)
        start, end = times.local(begins, words), times.local(ends, words)
        assert start is not None
        assert end is not None
        assert times.stretch(start, end, words) == said


def test_a_time_that_the_clock_leaves_out_moves_forward_and_a_doubled_one_is_the_first() -> None:
    missing, twice = times.local("2026-03-29T02:30", BERLIN), times.local("2026-10-25T02:30", BERLIN)
    assert missing == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert twice == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert times.local("2026-10-25T02:30+02:00", BERLIN) is None
