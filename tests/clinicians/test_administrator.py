"""An administrator sets a home up from nothing and sees equipment and names of her own centre, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.gateways import hash_token
from store import gateways, people, residents
from store.postgres import Database, value
from tests.clinicians.lived import live_in, open_service, visit
from tests.household import Household, furnish

pytestmark = pytest.mark.anyio

KEY = {"Authorization": "Bearer key of stairway 9"}
KINDS = [
    {"kind": "blood_pressure", "title_en": "Blood pressure monitor", "title_zh": "血压计", "needs_key": False},
    {"kind": "help_button", "title_en": "Help button", "title_zh": "呼救按钮", "needs_key": True},
    {"kind": "bath_scale", "title_en": "Bath scale", "title_zh": "浴室秤", "needs_key": False},
]
NEW = "D0:11:22:33:44:55"


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_service(database_url) as made:
        yield made


@pytest.fixture
async def home(app: FastAPI) -> Household:
    """The household, its gateway holding a key."""
    async with app.state.database.service() as c:
        home = await furnish(c, datetime.now(UTC))
        key = hash_token("key of stairway 9")
        await c.execute("UPDATE gateway SET key_hash = %s WHERE id = %s", [key, home.gateway])
    return home


@pytest.fixture
async def office(app: FastAPI, home: Household) -> httpx.AsyncClient:
    """The administrator's browser, in English."""
    return await visit(app, home.administrator.id, "en")


async def elsewhere(app: FastAPI) -> httpx.AsyncClient:
    """The browser of another centre's administrator."""
    async with app.state.database.service() as c:
        centre = await people.add_centre(c, "别处中心", "Another Centre", None, "Asia/Shanghai")
        person = await people.add_person(c, centre, "外人", "An Outsider", None, "en")
        await people.add_account(c, person.id, "outsider", "!", "administrator")
    return await visit(app, person.id, "en")


def form(**fields: object) -> dict[str, str]:
    return {"csrf": "csrf", **{name: str(text) for name, text in fields.items()}}


def found(address: str = NEW, name: str | None = "YE670A-7", rssi: int = -52, *kinds: str) -> dict[str, Any]:
    return {
        "address": address,
        "name": name,
        "rssi_dbm": rssi,
        "kinds": list(kinds),
        "services": [],
        "connectable": True,
    }


async def beat(client: httpx.AsyncClient, headers: dict[str, str] = KEY, **more: Any) -> dict[str, Any]:
    body = {"version": "1", "clock": datetime.now(UTC).isoformat(), "kinds": KINDS, **more}
    answer = await client.post("/v1/heartbeat", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def asked(app: FastAPI, sql: bytes) -> Any:
    database: Database = app.state.database
    async with database.service() as c:
        return await value(c, sql)  # type: ignore[arg-type]


def every_page(home: Household) -> list[str]:
    return [
        "/admin",
        f"/admin/gateways/{home.gateway}",
        f"/admin/gateways/{home.gateway}/code",
        f"/admin/gateways/{home.gateway}/found/{NEW}",
        f"/admin/devices/{home.cuff}",
        "/admin/device-types",
        "/admin/residents",
        f"/admin/residents/{home.wang}",
    ]


def every_change(home: Household) -> dict[str, dict[str, str]]:
    return {
        f"/admin/gateways/{home.gateway}/code": form(),
        f"/admin/gateways/{home.gateway}/look": form(),
        f"/admin/gateways/{home.gateway}/revoke": form(),
        f"/admin/gateways/{home.gateway}/found/{NEW}": form(kind="blood_pressure", resident=home.wang),
        f"/admin/devices/{home.cuff}/describe": form(name="mine"),
        f"/admin/devices/{home.cuff}/move": form(resident=home.zhao),
        f"/admin/devices/{home.cuff}/share": form(user_1=home.zhao),
        f"/admin/devices/{home.cuff}/remove": form(),
        f"/admin/residents/{home.wang}/relations": form(who=f"{home.chen.id} supervisor"),
        f"/admin/residents/{home.wang}/relations/end": form(who=f"{home.doctor.id} doctor"),
    }


async def state_of(app: FastAPI) -> str:
    """Everything that an administrator can change, as one text."""
    async with app.state.database.service() as c:
        texts = [
            await value(c, f"SELECT string_agg(t::text, '|' ORDER BY t::text) FROM {table} t".encode())  # type: ignore[arg-type]
            for table in ("gateway", "device", "device_user", "device_type", "relation", "resident")
        ]
    return str(texts)


async def test_a_home_is_set_up_from_nothing(app: FastAPI, office: httpx.AsyncClient, home: Household) -> None:
    sent_on = await office.post("/admin/gateways", data=form(name="stairway 5"))
    assert sent_on.status_code == 307
    page = await office.post(sent_on.headers["location"], data=form(name="stairway 5"))
    code = re.search(r'class="letters" lang="en">([0-9A-Z]{4}-[0-9A-Z]{4})<', page.text)
    assert code
    assert f"hearthwatch gateway pair {code[1]} --server {app.state.public_url}" in page.text
    assert re.search(r'<figure class="qr"[^>]*><svg', page.text)
    assert "Waiting for the gateway." in page.text

    paired = await office.post("/v1/pair", json={"code": code[1]})
    key = {"Authorization": f"Bearer {paired.json()['key']}"}
    assert "It has come in." in (await office.get(sent_on.headers["location"])).text
    assert (await beat(office, key))["look_until"] is None
    place = sent_on.headers["location"].removesuffix("/code")
    await office.post(f"{place}/look", data=form())
    told = await beat(office, key, found=[found()])
    assert datetime.fromisoformat(told["look_until"]) > datetime.now(UTC) + timedelta(minutes=9)
    assert told["beat_s"] == 3

    strangers = [found("D0:00:00:00:00:01", None, -90), found(NEW, "YE670A-7", -52, "blood_pressure")]
    await beat(office, key, found=strangers)
    page = await office.get(place)
    assert "Blood pressure monitor" in page.text
    assert "strong (\N{MINUS SIGN}52 dBm)" in page.text
    assert "1 other device, of no known kind" in page.text

    enrolled = await office.post(
        "/admin/residents",
        data=form(
            name_zh="何阿婆", name_en="He Apo", born="1941-05-06", sex="female", phone="139 0000 0077",
            address_zh="5号楼201", address_en="Bldg 5-201", language="zh_Hans",
        ),
    )  # fmt: skip
    who = int(enrolled.headers["location"].partition("?")[0].rpartition("/")[2])
    await office.post(f"/admin/residents/{who}/relations", data=form(who=f"{home.doctor.id} doctor"))
    page = await office.get(f"{place}/found/{NEW}")
    assert '<option value="blood_pressure" selected>' in page.text
    answer = await office.post(
        f"{place}/found/{NEW}", data=form(kind="blood_pressure", resident=who, name=" by the  bed ")
    )
    assert answer.headers["location"] == f"{place}?told=registered"
    assert "by the bed" in (await office.get(place)).text
    [configured] = (await beat(office, key))["devices"]
    assert (configured["address"], configured["kind"], configured["habits"]) == (NEW, "blood_pressure", {})
    async with app.state.database.reader(home.doctor.id) as c:
        new = await residents.resident(c, who)
    assert new is not None
    assert (new.name_zh, new.phone, new.address_en) == ("何阿婆", "+8613900000077", "Bldg 5-201")
    async with app.state.database.service() as c:
        trail = await (await c.execute("SELECT action, person_id FROM audit WHERE person_id IS NOT NULL")).fetchall()
    assert {action for action, by in trail if by == home.administrator.id} >= {
        "gateway_added", "pairing_code_issued", "looking_for_devices", "resident_enrolled", "relation_granted",
        "device_registered",
    }  # fmt: skip


async def test_found_devices_stand_loudest_first(office: httpx.AsyncClient, home: Household) -> None:
    place = f"/admin/gateways/{home.gateway}"
    await office.post(f"{place}/look", data=form())
    heard = [
        found(f"D0:00:00:00:00:{n:02X}", f"cuff {n}", rssi, "blood_pressure") for n, rssi in enumerate((-80, -40, -60))
    ]
    await beat(office, found=[*heard, {"address": "not an address", "name": "x"}])
    html = (await office.get(place)).text
    assert html.index("cuff 1") < html.index("cuff 2") < html.index("cuff 0")
    await office.post(f"{place}/look", data=form(stop="true"))
    assert (await beat(office))["look_until"] is None


async def test_what_a_gateway_hears_unasked_is_not_kept(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    await beat(office, found=[found()])
    assert await asked(app, b"SELECT found::text FROM gateway WHERE name = 'stairway 9'") == "[]"


async def test_a_kind_that_only_the_gateway_knows_can_be_assigned_and_is_named_to_staff(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    await beat(office)
    path = f"/admin/gateways/{home.gateway}/found/{NEW}"
    answer = await office.post(path, data=form(kind="bath_scale", resident=home.wang))
    assert answer.status_code == 303
    li_na = await visit(app, home.li_na.id, "zh_Hans")
    assert "浴室秤" in (await li_na.get(f"/care/residents/{home.wang}")).text


WRONG_ASSIGNMENTS: list[tuple[dict[str, object], str]] = [
    ({}, "what kind of device it is"),
    ({"kind": "toaster"}, "what kind of device it is"),
    ({"kind": "blood_pressure"}, "whose it is"),
    ({"kind": "help_button", "resident": 1}, "needs its key"),
    ({"kind": "help_button", "resident": 1, "key": "abc"}, "needs its key"),
    ({"kind": "blood_pressure", "resident": 1, "device_type": 99}, "is of another kind"),
]


async def test_a_form_that_cannot_be_so_comes_back_with_the_reason(office: httpx.AsyncClient, home: Household) -> None:
    await beat(office)
    path = f"/admin/gateways/{home.gateway}/found/{NEW}"
    for fields, words in WRONG_ASSIGNMENTS:
        answer = await office.post(path, data=form(name="kept", **fields))
        assert (answer.status_code, words in answer.text) == (400, True), fields
        assert 'value="kept"' in answer.text


async def test_a_key_is_taken_as_apps_show_it_and_shown_to_nobody(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    await beat(office)
    path = f"/admin/gateways/{home.gateway}/found/{NEW}"
    fields = form(kind="help_button", resident=home.wang, key="AB" * 8 + " " + "cd-" * 8)
    assert (await office.post(path, data=fields)).status_code == 303
    sent = {d["address"]: d["bindkey"] for d in (await beat(office))["devices"]}
    assert sent[NEW] == "ab" * 8 + "cd" * 8
    number = await asked(app, b"SELECT id FROM device WHERE address = 'D0:11:22:33:44:55'")
    assert "abab" not in (await office.get(f"/admin/devices/{number}")).text.lower()


async def test_a_type_that_was_described_is_proposed_and_its_habits_reach_the_gateway(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    await beat(office)
    fields = form(
        label="Yuwell YE670A", kind="blood_pressure", name_pattern="ye670a*", clock="date_time", clock_wrong_min=5,
        pair_first="yes", first_user="0", records="new", quiet_s=10, visit_every_s=0, worn_at="usual",
    )  # fmt: skip
    assert (await office.post("/admin/device-types", data=fields)).headers["location"].endswith("told=type_added")
    place = f"/admin/gateways/{home.gateway}"
    await office.post(f"{place}/look", data=form())
    await beat(office, found=[found()])
    assert "Yuwell YE670A" in (await office.get(place)).text
    proposed = re.search(r'<option value="(\d+)" selected>Yuwell', (await office.get(f"{place}/found/{NEW}")).text)
    assert proposed
    fields = form(kind="blood_pressure", resident=home.zhao, device_type=proposed[1])
    await office.post(f"{place}/found/{NEW}", data=fields)
    habits = {d["address"]: d["habits"] for d in (await beat(office))["devices"]}
    assert habits[NEW] == {"clock": "date_time", "clock_wrong_min": 5, "pair_first": True, "first_user": 0}
    kept = await office.post(f"/admin/device-types/{proposed[1]}/remove", data=form())
    assert (kept.status_code, "Devices are of this type" in kept.text) == (400, True)
    number = await asked(app, b"SELECT id FROM device WHERE address = 'D0:11:22:33:44:55'")
    await office.post(f"/admin/devices/{number}/remove", data=form())
    await office.post(f"/admin/device-types/{proposed[1]}/remove", data=form())
    assert await asked(app, b"SELECT count(*) FROM device_type") == 0


WRONG_TYPES: list[tuple[dict[str, str], str]] = [
    ({"label": ""}, "a name"),
    ({"kind": "toaster"}, "what kind"),
    ({"name_pattern": " * "}, "but not alone"),
    ({"clock": "sundial"}, "answers below"),
    ({"quiet_s": "-1"}, "answers below"),
]


async def test_a_type_that_cannot_be_so_is_refused_in_words(office: httpx.AsyncClient, home: Household) -> None:
    await beat(office)
    good = {
        "label": "X",
        "kind": "blood_pressure",
        "name_pattern": "X*",
        "clock": "either",
        "first_user": "",
        "records": "new",
    }
    for fields, words in WRONG_TYPES:
        answer = await office.post("/admin/device-types", data=form(**{**good, **fields}))
        assert (answer.status_code, words in answer.text) == (400, True), fields


async def test_the_page_says_what_a_gateway_sees_in_plain_words(office: httpx.AsyncClient, home: Household) -> None:
    now = datetime.now(UTC)
    cuff = {
        "address": "C0:00:00:00:00:01", "rssi_dbm": -70, "battery_pct": 64.4, "clock_error_s": -185.0, "firmware": "1.4.2",
        "last_seen_at": now.isoformat(), "last_reading_at": (now - timedelta(hours=3)).isoformat(),
    }  # fmt: skip
    machine = {"disk_free_mb": 21_500, "temperature_c": 61.2, "clock_synchronised": False}
    clock = (now + timedelta(minutes=3)).isoformat()
    await beat(
        office, clock=clock, devices=[cuff], machine=machine, outbox_waiting=12, troubles=["its aerial fell off"]
    )
    html = (await office.get(f"/admin/gateways/{home.gateway}")).text
    for words in ("12 readings", "3 minutes fast", "21.5 GB", "61 °C", "not reached", "its aerial fell off",
                  "good (\N{MINUS SIGN}70 dBm)", "battery 64%", "last reading: 3 hours ago", "its clock is 3 minutes slow"):  # fmt: skip
        assert words in html, words
    device = (await office.get(f"/admin/devices/{home.cuff}")).text
    assert "1.4.2" in device
    html = (await office.get("/admin")).text
    assert "1 gateway needs a look" in html


ABSURD: list[dict[str, Any]] = [
    {"machine": {"uptime_s": 10**18, "disk_free_mb": 10**30, "temperature_c": 1e308, "memory_mb": -1e300}},
    {"devices": [{"address": "C0:00:00:00:00:01", "clock_error_s": 1e308, "rssi_dbm": -1e308}]},
    {"clock": "0001-01-01T00:00:00Z"},
]


async def test_no_figure_that_a_gateway_claims_shuts_anybody_out_of_a_page(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    li_na = await visit(app, home.li_na.id, "en")
    for claims in ABSURD:
        await beat(office, **claims)
        for path in ("/admin", f"/admin/gateways/{home.gateway}", f"/admin/devices/{home.cuff}"):
            assert (await office.get(path)).status_code == 200, (claims, path)
        assert (await li_na.get(f"/care/residents/{home.wang}")).status_code == 200, claims


async def test_she_reads_nothing_about_anybody_s_health(app: FastAPI) -> None:
    lived = await live_in(app.state.database, datetime.now(UTC))
    async with app.state.database.service() as c:
        await c.execute("UPDATE resident SET conditions = '{hypertension}'")
    office = await visit(app, lived.home.administrator.id, "en")
    for path in every_page(lived.home):
        html = (await office.get(path)).text
        for said in ("hypertension", "192/118", "188/116", "mmHg", "systolic"):
            assert said not in html, (path, said)


async def test_other_faces_get_none_of_it(app: FastAPI, home: Household) -> None:
    before = await state_of(app)
    for person in (home.doctor.id, home.li_na.id, home.daughter.id, home.wang_person):
        browser = await visit(app, person)
        for path in every_page(home):
            assert (await browser.get(path)).status_code == 403, path
        for path, fields in every_change(home).items():
            assert (await browser.post(path, data=fields)).status_code == 403, path
    assert await state_of(app) == before


async def test_an_administrator_of_another_centre_finds_nothing_and_changes_nothing(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    await beat(office)
    browser = await elsewhere(app)
    before = await state_of(app)
    for path in every_page(home):
        page = await browser.get(path)
        assert page.status_code == (200 if path in ("/admin", "/admin/device-types", "/admin/residents") else 404), path
        for name in ("Wang Xiuying", "stairway 9", "Chen Jing", "C0:00"):
            assert name not in page.text
    for path, fields in every_change(home).items():
        assert (await browser.post(path, data=fields)).status_code == 404, path
    assert await state_of(app) == before


async def test_a_device_of_another_centre_is_not_taken_over(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    async with app.state.database.service() as c:
        centre = await people.add_centre(c, "别处", "Elsewhere", None, "Asia/Shanghai")
        person = await people.add_person(c, centre, "远", "Far Away", None, "en")
        far = await residents.add(
            c, residents.NewResident(person.id, centre, datetime(1940, 1, 1, tzinfo=UTC).date(), "male", "远", "far")
        )
        await gateways.add_device(c, NEW, far, "blood_pressure", None)
    await beat(office)
    path = f"/admin/gateways/{home.gateway}/found/{NEW}"
    answer = await office.post(path, data=form(kind="blood_pressure", resident=home.wang))
    assert (answer.status_code, "another health centre" in answer.text) == (400, True)
    assert await asked(app, b"SELECT count(*) FROM device WHERE gateway_id IS NULL") == 1
    mine = await office.post(path, data=form(kind="blood_pressure", resident=far))
    assert mine.status_code == 404


async def test_a_form_from_elsewhere_changes_nothing(app: FastAPI, office: httpx.AsyncClient, home: Household) -> None:
    before = await state_of(app)
    for path, fields in every_change(home).items():
        assert (await office.post(path, data={**fields, "csrf": "guessed"})).status_code == 403
    assert await state_of(app) == before


async def test_a_gateway_is_revoked_and_paired_anew(app: FastAPI, office: httpx.AsyncClient, home: Household) -> None:
    path = f"/admin/gateways/{home.gateway}"
    await office.post(f"{path}/revoke", data=form())
    assert (await office.post("/v1/heartbeat", json={}, headers=KEY)).status_code == 403
    assert "Revoked" in (await office.get(path)).text
    page = await office.post(f"{path}/code", data=form())
    code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
    assert code
    assert (await office.post("/v1/pair", json={"code": code[0]})).status_code == 200
    assert (await office.post("/v1/heartbeat", json={}, headers=KEY)).status_code == 401


async def test_two_gateways_of_one_centre_have_two_names(office: httpx.AsyncClient, home: Household) -> None:
    answer = await office.post("/admin/gateways", data=form(name="stairway 9"))
    assert (answer.status_code, "of this name already" in answer.text) == (400, True)
    for unseen in ("  ", "\u200b", "\u202e", "\x07"):
        assert (await office.post("/admin/gateways", data=form(name=unseen))).status_code == 400


WRONG_ENROLMENTS: list[tuple[dict[str, str], str]] = [
    ({"name_zh": ""}, "in both scripts"),
    ({"born": "yesterday"}, "day of birth"),
    ({"born": "2999-01-01"}, "day of birth"),
    ({"born": "1850-01-01"}, "day of birth"),
    ({"sex": "?"}, "choose one"),
    ({"address_en": " "}, "where she or he lives"),
    ({"phone": "12"}, "not a telephone number"),
    ({"phone": "13900000007"}, "somebody else"),
]


async def test_an_enrolment_that_cannot_be_so_comes_back_as_it_was_entered(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    good = {
        "name_zh": "何阿婆", "name_en": "He Apo", "born": "1941-05-06", "sex": "female", "phone": "",
        "address_zh": "5号楼201", "address_en": "Bldg 5-201", "language": "zh_Hans",
    }  # fmt: skip
    for fields, words in WRONG_ENROLMENTS:
        answer = await office.post("/admin/residents", data=form(**{**good, **fields}))
        assert (answer.status_code, words in answer.text) == (400, True), fields
        assert 'value="He Apo"' in answer.text
    assert await asked(app, b"SELECT count(*) FROM resident") == 2


async def test_who_cares_is_given_and_taken_back(app: FastAPI, office: httpx.AsyncClient, home: Household) -> None:
    path = f"/admin/residents/{home.zhao}/relations"
    await office.post(path, data=form(who=f"{home.daughter.id} family", called_zh="赵叔", called_en=""))
    daughter = await visit(app, home.daughter.id, "zh_Hans")
    assert "赵叔" in (await daughter.get("/family")).text
    await office.post(f"{path}/end", data=form(who=f"{home.daughter.id} family"))
    assert "赵叔" not in (await daughter.get("/family")).text


async def test_nobody_gets_more_than_her_own_pages_show(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    before = await asked(app, b"SELECT count(*) FROM relation")
    path = f"/admin/residents/{home.zhao}/relations"
    for kind in ("doctor", "self", "administrator", ""):
        answer = await office.post(path, data=form(who=f"{home.daughter.id} {kind}"))
        assert answer.status_code == 404, kind
    herself = await office.post(path, data=form(who=f"{home.administrator.id} care_worker"))
    assert herself.status_code == 404
    assert await asked(app, b"SELECT count(*) FROM relation") == before


async def test_only_what_has_user_buttons_is_shared(app: FastAPI, office: httpx.AsyncClient, home: Household) -> None:
    button = await asked(app, b"SELECT id FROM device WHERE kind = 'help_button'")
    assert (await office.post(f"/admin/devices/{button}/share", data=form(user_1=home.zhao))).status_code == 404
    assert await asked(app, b"SELECT count(*) FROM device_user") == 0


async def test_what_changed_nothing_is_not_said_to_have(
    app: FastAPI, office: httpx.AsyncClient, home: Household
) -> None:
    await office.post(f"/admin/residents/{home.wang}/relations/end", data=form(who=f"{home.administrator.id} doctor"))
    assert await asked(app, b"SELECT count(*) FROM audit WHERE action = 'relation_ended'") == 0


async def test_the_time_zone_reaches_the_gateway(office: httpx.AsyncClient, home: Household) -> None:
    for name in ("Mars/Olympus", "../../etc/passwd", "posixrules"):
        answer = await office.post("/admin/time-zone", data=form(time_zone=name))
        assert (answer.status_code, "no such time zone" in answer.text) == (400, True), name
    await office.post("/admin/time-zone", data=form(time_zone="Asia/Urumqi"))
    assert (await beat(office))["time_zone"] == "Asia/Urumqi"
