"""The doctor's pages over the real record: what arrived is all there, and each thing as what it is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI

from clinicians.equipment import health
from store import alerts, late_notes, residents
from store.gateways import Device
from store.postgres import value
from tests.clinicians.lived import PROTOCOL, Lived, live_in, open_service, visit
from tests.clinicians.test_worklist import EN, NOW, ZH
from tests.opened import opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    return await live_in(app.state.database, datetime.now(UTC))


async def test_the_list_puts_need_first_and_says_why(app: FastAPI, lived: Lived) -> None:
    html = (await (await visit(app, lived.home.doctor.id, "en")).get("/doctor")).text
    assert "1 resident needs you today." in html
    assert html.index("Needs you today") < html.index("Wang Xiuying") < html.index("Nothing measured")
    assert html.index("Nothing measured") < html.index("Zhao Deming")
    assert "mmHg above target" in html
    assert "no blood pressure for 5 days" in html


async def test_a_resident_s_page_shows_all_that_arrived_as_what_it_is(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id, "en")
    html = (await browser.get(f"/doctor/residents/{lived.home.wang}")).text
    assert html.count('role="img"') == 2
    assert "3 hours ago" in html
    assert "not usable" in html
    assert "<s>20 mmHg</s>" in html
    assert "this value cannot be right" in html
    assert "time unknown" in html
    assert "it says 1 Jan 2000" in html


async def test_what_is_not_believed_takes_no_part_in_any_figure(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id, "en")
    html = (await browser.get(f"/doctor/residents/{lived.home.wang}")).text
    least, most = re.findall(r"Systolic between (\d+) and (\d+)", html)[0]
    assert 140 < int(least) < int(most) < 180
    assert "244 mmHg" in html
    assert "20 mmHg" in html


async def test_an_alert_s_trail_names_who_did_what(app: FastAPI, lived: Lived) -> None:
    li_na = await visit(app, lived.home.li_na.id)
    await li_na.post(f"/care/alerts/{lived.severe}/acknowledge", data={"csrf": "csrf"})
    await li_na.post(f"/care/alerts/{lived.severe}/resolve", data={"csrf": "csrf", "outcome": "doctor"})
    browser = await visit(app, lived.home.doctor.id, "zh_Hans")
    html = (await browser.get(f"/doctor/residents/{lived.home.wang}")).text
    assert "李娜</strong>：已接手" in html
    assert "已告诉医生" in html


async def test_a_note_of_the_doctor_s_is_kept(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id, "zh_Hans")
    path = f"/doctor/residents/{lived.home.wang}"
    answer = await browser.post(f"{path}/notes", data={"csrf": "csrf", "text": "加量一片"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert "加量一片" in (await browser.get(path)).text


async def test_who_looked_at_whom_is_written_down_once_and_not_at_every_refresh(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id)
    path = f"/doctor/residents/{lived.home.wang}"
    await browser.get(path)
    await browser.get(path, headers={"X-Live": "1"})
    async with app.state.database.service() as c:
        looked = await value(
            c,
            "SELECT count(*) FROM audit WHERE action = 'opened_resident' AND person_id = %s AND resident_id = %s",
            [lived.home.doctor.id, lived.home.wang],
        )
    assert looked == 1


async def test_a_rule_that_has_gone_does_not_take_its_alert_with_it(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await opened(
            c,
            resident_id=lived.home.wang,
            rule="gone.rule",
            protocol="old",
            priority="medium",
            kind="event",
            happened_at=lived.now,
            raised_at=lived.now,
            evidence={},
        )
    browser = await visit(app, lived.home.doctor.id, "en")
    assert "a rule that is no longer in force: gone.rule" in (await browser.get("/doctor")).text


def device(**what: object) -> Device:
    plain: dict[str, object] = {
        "id": 1, "address": "C0", "resident_id": 1, "kind": "blood_pressure", "manufacturer": None, "model": "BP-2",
        "serial": None, "firmware": None, "battery_pct": 80, "battery_at": NOW, "rssi_dbm": -60, "clock_error_s": 1.0,
        "last_seen_at": NOW - timedelta(minutes=3), "trouble": None,
    }  # fmt: skip
    return Device(**{**plain, **what})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "trouble"),
    [
        ({}, ()),
        ({"battery_pct": 9}, ("电量不足，请充电或换电池",)),
        ({"trouble": "its pairing is lost: pair it again, as its manual says"}, ("配对已丢失，请重新配对",)),
        ({"trouble": "smells odd"}, ("设备有异常，下次上门时请检查",)),
        ({"clock_error_s": -3600.0}, ("时钟慢1小时",)),
        ({"last_seen_at": NOW - timedelta(days=3)}, ("已有一阵没有联络，请看看它是否开着、是否在网关附近",)),
    ],
)
async def test_a_device_s_trouble_is_said_in_words(what: dict[str, object], trouble: tuple[str, ...]) -> None:
    found = health(device(**what), ZH)
    assert found.troubles == trouble
    assert found.is_well == (not trouble)


async def test_a_device_never_heard_of_says_so() -> None:
    assert health(device(last_seen_at=None), EN).seen == "never heard of"


async def test_what_was_learned_late_stands_on_her_page_until_somebody_has_seen_it(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await late_notes.add(
            c,
            resident_id=lived.home.wang,
            rule="bp.severe",
            protocol=PROTOCOL.version,
            priority="high",
            happened_at=lived.now - timedelta(days=2),
            learned_at=lived.now,
            evidence={"systolic": 199.0, "diastolic": 121.0, "first_systolic": 199.0, "first_diastolic": 121.0},
        )
    browser = await visit(app, lived.home.doctor.id, "en")
    path = f"/doctor/residents/{lived.home.wang}"
    assert "learned late, of " in (await browser.get("/doctor")).text
    html = (await browser.get(path)).text
    assert "199/121 mmHg" in html
    assert "repeat" not in html.split("Learned late")[1].split("</article>")[0]
    [seen] = re.findall(rf'action="({path}/late/\d+/seen)"', html)
    for _ in range(2):
        assert (await browser.post(seen, data={"csrf": "csrf"})).headers["location"] == path
    html = (await browser.get(path)).text
    assert "/seen" not in html
    assert "Seen by Liu Jianguo" in html
    assert "learned late, of " not in (await browser.get("/doctor")).text
    async with app.state.database.service() as c:
        assert await value(c, "SELECT count(*) FROM audit WHERE action = 'saw_late_note'") == 1


async def test_nobody_says_of_another_s_resident_that_it_was_seen(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await residents.end_relation(c, lived.home.doctor.id, lived.home.wang, "doctor")
    browser = await visit(app, lived.home.doctor.id)
    answer = await browser.post(f"/doctor/residents/{lived.home.wang}/late/1/seen", data={"csrf": "csrf"})
    assert answer.status_code == 404


@pytest.mark.anyio
async def test_a_doctor_on_call_takes_it_is_there_and_closes_it_from_her_page(app: FastAPI, lived: Lived) -> None:
    browser = await visit(app, lived.home.doctor.id, "en")
    page, path = f"/doctor/residents/{lived.home.wang}", f"/doctor/alerts/{lived.severe}"
    assert f'action="{path}/acknowledge"' in (await browser.get(page)).text
    answer = await browser.post(f"{path}/acknowledge", data={"csrf": "csrf"})
    assert answer.headers["location"] == f"{page}?told=acknowledged"
    html = (await browser.get(answer.headers["location"])).text
    assert "It is yours. Thank you." in html
    assert "Taken by Liu Jianguo, just now · to be there by" in html
    await browser.post(f"{path}/attend", data={"csrf": "csrf"})
    assert "Liu Jianguo is there since today" in (await browser.get(page)).text
    await browser.post(f"{path}/resolve", data={"csrf": "csrf", "outcome": "helped", "remark": "pill doubled"})
    async with app.state.database.service() as c:
        row = await alerts.alert(c, lived.severe)
    assert row is not None
    assert (row.state, row.outcome, row.resolved_by) == ("resolved", "helped: pill doubled", lived.home.doctor.id)


@pytest.mark.anyio
@pytest.mark.parametrize("verb", ["acknowledge", "attend", "decline", "resolve"])
async def test_a_doctor_cannot_touch_an_alert_of_somebody_she_does_not_care_for(
    app: FastAPI, lived: Lived, verb: str
) -> None:
    async with app.state.database.service() as c:
        await c.execute("DELETE FROM relation WHERE person_id = %s", [lived.home.doctor.id])
    browser = await visit(app, lived.home.doctor.id)
    answer = await browser.post(f"/doctor/alerts/{lived.severe}/{verb}", data={"csrf": "csrf", "outcome": "well"})
    assert answer.status_code == 404
