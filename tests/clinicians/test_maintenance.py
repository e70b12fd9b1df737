"""Whoever works on the equipment says so on the page, and everybody who cares for the resident sees it until it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI

from store import maintenance
from store.postgres import value
from tests.clinicians.lived import PROTOCOL, Lived, live_in, open_service, visit

pytestmark = pytest.mark.anyio

NEW_ROUTER = {"csrf": "csrf", "hours": "4", "why": "new router"}


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def lived(app: FastAPI) -> Lived:
    return await live_in(app.state.database, datetime.now(UTC))


async def test_a_care_worker_sets_it_and_the_doctor_ends_it(app: FastAPI, lived: Lived) -> None:
    li_na = await visit(app, lived.home.li_na.id, "zh_Hans")
    path = f"/care/residents/{lived.home.wang}"
    answer = await li_na.post(f"{path}/maintenance", data=NEW_ROUTER)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}#maintenance")
    async with app.state.database.service() as c:
        held = {"resident_id": lived.home.wang, "rule": "device.battery", "protocol": PROTOCOL.version}
        await maintenance.hold_back(c, **held, happened_at=lived.now, evidence={}, now=lived.now)
    assert "由李娜设置：new router" in (await li_na.get(path)).text
    assert "暂未发出：电池电量低" in (await li_na.get(path)).text
    doctor = await visit(app, lived.home.doctor.id, "en")
    hers = f"/doctor/residents/{lived.home.wang}"
    assert "Set by Na Li: new router" in (await doctor.get(hers)).text
    await doctor.post(f"{hers}/maintenance", data={"csrf": "csrf"})
    assert "new router" not in (await doctor.get(hers)).text
    async with app.state.database.service() as c:
        done = await value(c, "SELECT array_agg(action ORDER BY id) FROM audit WHERE action LIKE 'maintenance%'")
    assert done == ["maintenance_begun", "maintenance_ended"]


async def test_a_gateway_s_is_set_by_the_administrator_and_seen_by_staff(app: FastAPI, lived: Lived) -> None:
    office = await visit(app, lived.home.administrator.id, "en")
    path = f"/admin/gateways/{lived.home.gateway}"
    await office.post(f"{path}/maintenance", data=NEW_ROUTER)
    assert "Set by Sun Lihua: new router" in (await office.get(path)).text
    board = await visit(app, lived.home.li_na.id, "en")
    hers = (await board.get(f"/care/residents/{lived.home.wang}")).text
    assert "alarms of the gateway and of everything behind it wait" in hers
    assert "maintenance-end" not in hers
    await office.post(f"{path}/maintenance", data={"csrf": "csrf"})
    assert "new router" not in (await office.get(path)).text


async def test_an_administrator_reads_of_a_resident_s_that_it_lasts_but_not_why(app: FastAPI, lived: Lived) -> None:
    li_na = await visit(app, lived.home.li_na.id)
    await li_na.post(f"/care/residents/{lived.home.wang}/maintenance", data={**NEW_ROUTER, "why": "she is in hospital"})
    office = await visit(app, lived.home.administrator.id, "en")
    html = (await office.get(f"/admin/residents/{lived.home.wang}")).text
    assert "alarms of this equipment wait" in html
    assert "hospital" not in html


async def test_it_says_why_and_lasts_no_longer_than_offered(app: FastAPI, lived: Lived) -> None:
    li_na = await visit(app, lived.home.li_na.id)
    for wrong in ({"why": "  "}, {"hours": "48"}):
        answer = await li_na.post(f"/care/residents/{lived.home.wang}/maintenance", data=NEW_ROUTER | wrong)
        assert answer.status_code == 400
    await li_na.post(f"/care/residents/{lived.home.wang}/maintenance", data=NEW_ROUTER | {"hours": "24"})
    async with app.state.database.service() as c:
        lasts = await value(c, "SELECT until - set_at FROM maintenance")
    assert lasts == timedelta(hours=24)


async def test_nobody_sets_it_for_a_home_that_is_not_hers_to_look_after(app: FastAPI, lived: Lived) -> None:
    async with app.state.database.service() as c:
        await c.execute("DELETE FROM relation WHERE person_id = %s", [lived.home.chen.id])
    chen = await visit(app, lived.home.chen.id)
    assert (await chen.post(f"/care/residents/{lived.home.wang}/maintenance", data=NEW_ROUTER)).status_code == 404
    daughter = await visit(app, lived.home.daughter.id)
    assert (await daughter.post(f"/care/residents/{lived.home.wang}/maintenance", data=NEW_ROUTER)).status_code == 403
    office = await visit(app, lived.home.administrator.id)
    assert (await office.post("/admin/gateways/999/maintenance", data=NEW_ROUTER)).status_code == 404
