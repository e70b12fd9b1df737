"""Staff see their own duty on a phone, swap it with a colleague, and say that they are away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from store.postgres import value
from tests.clinicians.manned import Centre, elsewhere, open_centre

pytestmark = pytest.mark.anyio

HERE = "/care/duty"


@pytest.fixture
async def centre(database_url: str) -> AsyncIterator[Centre]:
    async with open_centre(database_url) as made:
        yield made


async def newest(centre: Centre, table: str) -> int:
    async with centre.app.state.database.service() as c:
        return int(await value(c, f"SELECT max(id) FROM {table}".encode()))  # type: ignore[arg-type]


async def noticed(centre: Centre, person: UUID) -> list[str]:
    """What somebody has been told by message."""
    async with centre.app.state.database.service() as c:
        sql = "SELECT body FROM message WHERE purpose = 'notice' AND person_id = %s ORDER BY id"
        return [row[0] for row in await (await c.execute(sql, [person])).fetchall()]


async def test_she_sees_what_is_hers_now_and_next_and_who_else_is_on_duty(centre: Centre) -> None:
    li, chen = await centre.window(centre.home.li_na.id), await centre.window(centre.home.chen.id)
    page = await li.read(HERE)
    assert "You are on duty care_worker 1 Fri 27 Nov 08:00 to 20:00" in page
    assert "On duty now care_worker 1 Na Li" in page
    page = await chen.read(HERE)
    assert "You are not on duty Next: Fri 27 Nov 20:00 to Sat 28 Nov 08:00, care_worker 1" in page
    assert "+86139" not in page  # names, no colleague's telephone


async def test_a_night_is_shown_whole_though_it_began_yesterday(centre: Centre) -> None:
    chen = await centre.window(centre.home.chen.id)
    centre.passes(timedelta(hours=15))
    page = await chen.read(HERE)
    assert "You are on duty care_worker 1 Fri 27 Nov 20:00 to Sat 28 Nov 08:00" in page
    assert "Fri 11 Dec 20:00 to Sat 12 Dec 08:00" in page


async def test_a_visit_ends_by_itself(centre: Centre) -> None:
    li = await centre.window(centre.home.li_na.id)
    page = await li.send(f"{HERE}/away", {"kind": "on_visit", "for": 30})
    assert "You are away: on a visit until 10:30" in page
    centre.passes(timedelta(minutes=31))
    assert "You are on duty" in await li.read(HERE)


async def test_off_sick_until_she_is_back_warns_her_and_the_administrator(centre: Centre) -> None:
    chen, office = await centre.window(centre.home.chen.id), await centre.office()
    page = await chen.send(f"{HERE}/away", {"kind": "sick", "for": "back"})
    assert "Until you are back the next colleague is called at once instead of you." in page
    assert "You are away: off sick until she or he is back" in page
    assert "While you are away nobody else can be called. Please ring the centre. Fri 27 Nov 20:00" in page
    assert "14 times without anybody" in await office.read("/admin/rota")
    page = await chen.send(f"{HERE}/back")
    assert "Welcome back." in page
    assert "The next 14 days are manned" in await office.read("/admin/rota")


async def test_off_sick_today_is_over_at_midnight(centre: Centre) -> None:
    li = await centre.window(centre.home.li_na.id)
    assert "off sick until Sat 28 Nov 00:00" in await li.send(f"{HERE}/away", {"kind": "sick", "for": "today"})
    assert "off sick until Sun 29 Nov 00:00" in await li.send(f"{HERE}/away", {"kind": "sick", "for": "tomorrow"})


async def test_leave_is_planned_and_taken_back_by_nobody_else(centre: Centre) -> None:
    li, chen = await centre.window(centre.home.li_na.id), await centre.window(centre.home.chen.id)
    page = await li.send(f"{HERE}/away", {"kind": "leave", "begins": "2026-12-01T00:00"}, status=400)
    assert "Please say from when to when." in page
    page = await li.send(f"{HERE}/away", {"kind": "leave", "begins": "2026-12-01T00:00", "ends": "2026-12-03T00:00"})
    assert "on leave Tue 1 Dec 00:00 to Thu 3 Dec 00:00" in page
    place = f"{HERE}/absences/{await newest(centre, 'absence')}/cancel"
    await chen.send(place, status=404)
    assert "You will not be away then." in await li.send(place)


async def test_a_colleague_who_accepts_is_on_duty_in_her_place_and_she_in_the_other_s(centre: Centre) -> None:
    li, chen = await centre.window(centre.home.li_na.id), await centre.window(centre.home.chen.id)
    html = (await li.client.get(HERE)).text
    place = re.search(
        r'href="(/care/duty/swap\?roster=\d+&amp;begins=2026-11-28T08:00&amp;ends=2026-11-28T20:00)"', html
    )
    assert place
    page = (await li.client.get(place[1].replace("&amp;", "&"))).text
    in_return = f"{centre.home.chen.id} 2026-11-29T20:00 2026-11-30T08:00"
    assert f'value="{in_return}"' in page
    asked = {"roster": centre.first, "begins": "2026-11-28T08:00", "ends": "2026-11-28T20:00", "with": in_return}
    assert "Chen Jing has not answered yet." in await li.send(f"{HERE}/swap", asked)
    page = await chen.read(HERE)
    assert "Na Li asks you to be on duty instead of her or him: Sat 28 Nov 08:00 to 20:00" in page
    assert "and takes in return: Sun 29 Nov 20:00 to Mon 30 Nov 08:00" in page

    assert await noticed(centre, centre.home.chen.id) == [
        "Hearthwatch: Na Li asks you to be on duty Sat 28 Nov 08:00 to 20:00. Answer under My duty."
    ]

    swap = f"{HERE}/swaps/{await newest(centre, 'duty_swap')}"
    await li.send(f"{swap}/accept", status=404)
    assert "Swapped. The rota is changed." in await chen.send(f"{swap}/accept")
    assert "Chen Jing does it." in await li.read(HERE)
    [told] = await noticed(centre, centre.home.li_na.id)
    assert "Chen Jing is on duty for you Sat 28 Nov 08:00 to 20:00" in told
    office = await centre.office()
    page = await office.read(f"/admin/rota/who?resident={centre.home.wang}&at=2026-11-28T12:00")
    assert "Chen Jing is on duty in place of Na Li. They have swapped." in page
    assert "Na Li until Mon 30 Nov 08:00" in await office.read(
        f"/admin/rota/who?resident={centre.home.wang}&at=2026-11-30T03:00"
    )
    assert "That has been accepted already." in await chen.send(f"{swap}/decline", status=400)


async def test_a_request_is_declined_or_not_asked_any_more(centre: Centre) -> None:
    li, chen = await centre.window(centre.home.li_na.id), await centre.window(centre.home.chen.id)
    asked = {
        "roster": centre.first,
        "begins": "2026-11-28T08:00",
        "ends": "2026-11-28T20:00",
        "with": centre.home.chen.id,
    }
    await li.send(f"{HERE}/swap", asked)
    assert "for nothing in return." in await chen.read(HERE)
    swap = f"{HERE}/swaps/{await newest(centre, 'duty_swap')}"
    assert "Declined." in await chen.send(f"{swap}/decline")
    assert "Chen Jing cannot. The hours are still yours." in await li.read(HERE)
    await li.send(f"{HERE}/swap", asked)
    swap = f"{HERE}/swaps/{await newest(centre, 'duty_swap')}"
    assert "You do not ask any more." in await li.send(f"{swap}/withdraw")
    assert "You are asked" not in await chen.read(HERE)
    assert "That is not asked any more." in await chen.send(f"{swap}/accept", status=400)


NONSENSE = [
    ({"begins": "2026-11-28T20:00", "ends": "2026-11-28T22:00"}, "These hours are not hers or his any more."),
    ({"begins": "2026-11-28T12:00", "ends": "2026-11-28T11:00"}, "It ends before it begins."),
    ({"begins": ""}, "Please say from when to when."),
    ({"with": ""}, "Please tick whom it concerns."),
]


async def test_a_swap_that_makes_no_sense_is_refused_in_words(centre: Centre) -> None:
    li = await centre.window(centre.home.li_na.id)
    asked = {
        "roster": centre.first,
        "begins": "2026-11-28T08:00",
        "ends": "2026-11-28T20:00",
        "with": centre.home.chen.id,
    }
    for fields, sentence in NONSENSE:
        assert sentence in await li.send(f"{HERE}/swap", asked | fields, status=400)


async def test_a_doctor_on_call_has_a_duty_too_and_a_relative_none(centre: Centre) -> None:
    doctor = await centre.window(centre.home.doctor.id)
    assert "Nothing is yours in the next 14 days." in await doctor.read(HERE)
    await (await centre.window(centre.home.daughter.id)).read(HERE, 403)
    await (await elsewhere(centre)).read(HERE, 403)


async def test_it_speaks_chinese(centre: Centre) -> None:
    li = await centre.window(centre.home.li_na.id, "zh_Hans")
    page = await li.read(HERE)
    assert "您正在值班 值班1 11月27日（周五）08:00至20:00" in page
    assert "您不在岗：正在上门，到10:30" in await li.send(f"{HERE}/away", {"kind": "on_visit", "for": 30})
