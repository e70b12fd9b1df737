"""A gateway is let in once by a code, speaks by its key, and is shut out within seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import gateways as door
from devices.readings import METRICS
from store import alerts, equipment, gateways, pairing, people
from store.equipment import Machine
from store.postgres import Database, value
from tests.api.callers import CUFF, GATEWAY, KEY, iso, reading, send
from tests.clinicians.lived import raise_alert
from tests.household import Household

pytestmark = pytest.mark.anyio


async def code_for(database: Database, home: Household, name: str = "stairway 3") -> str:
    async with database.service() as c:
        return await pairing.issue_code(c, home.centre, name, datetime.now(UTC))


async def pair(client: httpx.AsyncClient, code: str) -> httpx.Response:
    return await client.post("/v1/pair", json={"code": code})


async def test_a_code_is_exchanged_for_a_key_once(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    code = await code_for(database, home)
    answer = await pair(client, code)
    assert answer.status_code == 200
    assert answer.json()["gateway"] == "stairway 3"
    beat = await client.post(
        "/v1/heartbeat",
        json={"version": "1", "clock": iso(datetime.now(UTC))},
        headers={"Authorization": f"Bearer {answer.json()['key']}"},
    )
    assert beat.status_code == 200
    again = await pair(client, code)
    assert (again.status_code, again.json()["type"]) == (403, "urn:hearthwatch:problem:bad_code")


async def test_neither_code_nor_key_lies_in_the_record(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    code = await code_for(database, home)
    key = (await pair(client, code)).json()["key"]
    async with database.service() as c:
        kept = str(await (await c.execute("SELECT * FROM gateway")).fetchall())
    assert key not in kept
    assert code.replace("-", "") not in kept


@given(st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=8, max_size=8))
def test_a_code_is_understood_however_it_was_read_out(letters: str) -> None:
    code = f"{letters[:4]}-{letters[4:]}"
    told = code.replace("-", " ").lower().replace("0", "o").replace("1", "l")
    assert pairing.code_hash(told) == pairing.code_hash(code)


def test_codes_have_letters_that_cannot_be_mistaken() -> None:
    codes = {pairing.new_code() for _ in range(200)}
    assert len(codes) == 200
    assert not set("".join(codes)) & set("ILOU")


async def test_an_expired_code_is_refused(client: httpx.AsyncClient, database: Database, home: Household) -> None:
    async with database.service() as c:
        past = datetime.now(UTC) - pairing.LASTS - timedelta(seconds=1)
        code = await pairing.issue_code(c, home.centre, "stairway 3", past)
    assert (await pair(client, code)).status_code == 403


async def test_guessing_codes_is_slowed_down(client: httpx.AsyncClient, database: Database, home: Household) -> None:
    for n in range(door.GUESSES):
        assert (await pair(client, f"{n:08d}")).status_code == 403
    answer = await pair(client, await code_for(database, home))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer other"}]
)
@pytest.mark.parametrize("path", ["/v1/readings", "/v1/heartbeat"])
async def test_without_a_known_key_nothing_is_taken(
    client: httpx.AsyncClient, database: Database, home: Household, path: str, headers: dict[str, str]
) -> None:
    body = {"readings": [reading("pulse", 70, datetime.now(UTC))]}
    answer = await client.post(path, json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    async with database.service() as c:
        assert await value(c, "SELECT count(*) FROM reading") == 0


async def test_a_revoked_gateway_is_refused_within_two_seconds(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    now = datetime.now(UTC)
    assert (await send(client, reading("pulse", 70, now))).status_code == 200
    async with database.service() as c:
        assert await gateways.revoke(c, home.centre, "stairway 9", now)
    await anyio.sleep(door.REMEMBER_S + 0.1)
    answer = await send(client, reading("pulse", 71, now + timedelta(seconds=1)))
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:hearthwatch:problem:gateway_revoked")
    async with database.service() as c:
        assert await value(c, "SELECT count(*) FROM reading") == 1
    assert door.REMEMBER_S <= 2


async def test_a_stolen_key_stays_shut_out_when_its_gateway_is_paired_anew(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    async with database.service() as c:
        await gateways.revoke(c, home.centre, "stairway 9", datetime.now(UTC))
    code = await code_for(database, home, "stairway 9")
    assert (await send(client)).status_code == 401
    assert (await pair(client, code)).status_code == 200
    assert (await send(client)).status_code == 401


async def test_a_known_gateway_keeps_its_key_until_the_new_code_is_used(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    code = await code_for(database, home, "stairway 9")
    assert (await send(client)).status_code == 200
    await pair(client, code)
    await anyio.sleep(door.REMEMBER_S + 0.1)
    assert (await send(client)).status_code == 401


async def test_how_careful_a_wearable_is_stands_until_the_gateway_says_otherwise(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    now = datetime.now(UTC)
    wearable = "C0:00:00:00:00:02"
    point = {"threshold": 0.6, "usual": 0.5, "near_per_day": 12.0, "false_per_h": 0.03, "worn_h": 80.0}
    beat: dict[str, object] = {"version": "0.1.0", "clock": iso(now), "outbox_waiting": 0, "quarantined": 0}
    for said in ({"falls": point}, dict[str, object]()):
        beat["devices"] = [{"address": wearable, **said}]
        assert (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).status_code == 200
        async with database.service() as c:
            found = {d.address: d for d in await gateways.devices(c, home.wang)}
        assert found[wearable].falls == point
    beat["devices"] = [{"address": wearable, "falls": {**point, "threshold": 7}}]
    assert (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).status_code == 400


async def test_the_heartbeat_is_noted_and_answered_with_what_to_collect(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    now = datetime.now(UTC)
    async with database.service() as c:
        await gateways.add_device(c, "C0:00:00:00:00:03", home.wang, "help_button", home.gateway, bindkey="ab" * 16)
    device = {
        "address": CUFF, "rssi_dbm": -61.4, "last_seen_at": iso(now + timedelta(days=9)), "clock_error_s": 120.0,
        "manufacturer": "Cuff\0makers", "model": "BP-2", "serial": None, "firmware": "1.4", "trouble": "the cuff asks to be paired again",
    }  # fmt: skip
    beat = {
        "version": "0.1.0", "clock": iso(now - timedelta(seconds=90)), "outbox_waiting": 7, "quarantined": 2,
        "devices": [device, {"address": "C0:FF:FF:FF:FF:FF"}],
    }  # fmt: skip
    answer = await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["gateway"], told["time_zone"]) == ("stairway 9", "Asia/Shanghai")
    assert abs(datetime.fromisoformat(told["now"]) - now) < timedelta(minutes=1)
    assert {d["address"]: (d["kind"], d["bindkey"]) for d in told["devices"]} == {
        "C0:00:00:00:00:01": ("blood_pressure", None),
        "C0:00:00:00:00:02": ("wearable", None),
        "C0:00:00:00:00:03": ("help_button", "ab" * 16),
        "C0:00:00:00:00:04": ("blood_pressure", None),
    }
    async with database.service() as c:
        known = await gateways.by_key(c, door.hash_token(KEY))
        [cuff] = [d for d in await gateways.devices(c, home.wang) if d.address == CUFF]
    assert known is not None
    assert (known.version, known.outbox_waiting, known.quarantined) == ("0.1.0", 7, 2)
    assert known.clock_error_s == pytest.approx(-90, abs=30)
    assert (cuff.rssi_dbm, cuff.manufacturer, cuff.trouble) == (-61, "Cuffmakers", "the cuff asks to be paired again")
    assert cuff.last_seen_at is not None
    assert cuff.last_seen_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/heartbeat", {"version": "1", "clock": "noon"}, "clock"),
        ("/v1/heartbeat", {"version": "1"}, "clock"),
        ("/v1/heartbeat", {"version": "1", "clock": "2026-01-01T00:00:00Z", "outbox_waiting": -1}, "outbox_waiting"),
        ("/v1/pair", {"code": 12345678}, "code"),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    client: httpx.AsyncClient, home: Household, path: str, body: dict[str, object], field: str
) -> None:
    answer = await client.post(path, json=body, headers=GATEWAY)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_what_a_gateway_says_of_itself_is_kept_and_what_it_leaves_out_stands(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    now = datetime.now(UTC)
    kind = {"kind": "bed_sensor", "title_en": "Bed\0 sensor", "title_zh": "床垫", "needs_key": True}
    device = {"address": CUFF, "battery_pct": 63.7, "last_reading_at": iso(now + timedelta(days=1))}
    beat = {"version": "1", "clock": iso(now)}
    full = {
        **beat, "kinds": [kind], "troubles": ["its disk is full"], "devices": [device],
        "machine": {"disk_free_mb": 900, "temperature_c": 51.5, "memory_mb": 80, "clock_synchronised": True,
                    "uptime_s": 60, "scanning": "passive", "uplink": "fallback", "recordings_waiting": 3,
                    "recordings_dropped": 2, "new_word": 1},
    }  # fmt: skip
    for body in (full, beat):
        answer = await client.post("/v1/heartbeat", json=body, headers=GATEWAY)
        assert answer.status_code == 200, answer.text
    async with database.reader(home.administrator.id) as c:
        known = await equipment.gateway(c, home.gateway)
        cuff = await equipment.device(c, home.cuff)
    assert known is not None
    assert known.machine == Machine(900, 51.5, 80, True, 60, "passive", "fallback", 3, 2)
    assert [(k.kind, k.title_en, k.needs_key) for k in known.kinds] == [("bed_sensor", "Bed sensor", True)]
    assert known.troubles == []
    assert cuff is not None
    assert cuff.battery_pct == 64
    assert cuff.last_reading_at is not None
    assert cuff.last_reading_at <= datetime.now(UTC)


async def test_at_most_a_hundred_found_devices_are_kept_the_loudest_first(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    now = datetime.now(UTC)
    async with database.service() as c:
        await equipment.look(c, home.administrator.id, home.gateway, now + timedelta(minutes=10))
    name = "\u202eBPM\x00\x1b[2J One\n"
    found = [{"address": f"D0:00:00:00:00:{n:02X}", "rssi_dbm": -n, "name": name} for n in range(150, 0, -1)]
    beat = {"version": "1", "clock": iso(now), "found": [*found, {"address": "D0:00:00:00:01:00"}]}
    answer = await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)
    assert answer.json()["beat_s"] == door.LOOKING_BEAT_S
    async with database.reader(home.administrator.id) as c:
        known = await equipment.gateway(c, home.gateway)
    assert known is not None
    assert [f.rssi_dbm for f in known.found] == [-n for n in range(1, 101)]
    assert {f.name for f in known.found} == {"BPM[2J One"}


async def test_the_answer_says_whom_to_name_in_an_emergency_in_the_residents_language(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    async with database.service() as c:
        await c.execute("UPDATE person SET language = 'en' WHERE id IN (SELECT person_id FROM resident)")
    beat = {"version": "1", "clock": iso(datetime.now(UTC))}
    told = (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).json()
    assert told["emergency"] == {"phone": "+8610555500", "language": "en"}
    async with database.service() as c:
        await c.execute("UPDATE centre SET phone = NULL")
    silent = (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).json()
    assert silent["emergency"] == {"phone": None, "language": "en"}
    assert (told["look_until"], told["beat_s"]) == (None, door.BEAT_S)


async def test_the_answer_says_which_fall_she_has_answered_herself(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    fell_at = datetime.now(UTC) - timedelta(minutes=2)
    beat = {"version": "1", "clock": iso(fell_at)}

    async def answered() -> list[dict[str, object]]:
        told = (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).json()
        return [{**one, "fell_at": datetime.fromisoformat(one["fell_at"])} for one in told["answered"]]

    async def heard(metric: str, at: datetime) -> None:
        async with database.service() as c:
            await c.execute(
                "INSERT INTO latest_reading VALUES (%s, %s, %s, %s, 1, 0, %s)",
                [home.wang, METRICS[metric].code, at, at, home.wearable],
            )

    async with database.service() as c:
        await alerts.ask(c, home.wang, "fall", "are_you_well", fell_at, fell_at + timedelta(minutes=5))
        await alerts.answer_prompts(c, home.wang, "are_you_well", "well", datetime.now(UTC))
    await heard("fall_recovered", fell_at + timedelta(seconds=9))
    assert await answered() == [], "that one of her wearables walks is no word of hers"
    await heard("said_well", fell_at + timedelta(seconds=20))
    assert await answered() == [{"home": home.wang, "fell_at": fell_at}]


async def test_the_answer_says_which_fall_staff_have_seen_to(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    fell_at = datetime.now(UTC) - timedelta(minutes=9)
    beat = {"version": "1", "clock": iso(fell_at)}
    async with database.service() as c:
        number = await raise_alert(c, home.wang, "fall", fell_at, {"probability": 0.9}, step=1)
    told = (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).json()
    assert told["answered"] == []
    async with database.service() as c:
        closed = {
            "state": "resolved",
            "resolved_at": datetime.now(UTC),
            "resolved_by": home.li_na.id,
            "outcome": "helped up",
        }
        await alerts.update(c, number, closed)
    told = (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).json()
    [one] = told["answered"]
    assert (one["home"], datetime.fromisoformat(one["fell_at"])) == (home.wang, fell_at)


async def test_the_same_name_at_two_centres_is_two_gateways(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    async with database.service() as c:
        other = await people.add_centre(c, "别处", "Elsewhere", None, "Asia/Shanghai")
        await pairing.issue_code(c, other, "stairway 9", datetime.now(UTC))
        assert await value(c, "SELECT count(*) FROM gateway WHERE name = 'stairway 9'") == 2
        assert await gateways.revoke(c, other, "stairway 9", datetime.now(UTC))
    assert (await send(client)).status_code == 200
