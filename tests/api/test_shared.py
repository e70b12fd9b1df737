"""Two people on one cuff are kept apart, and a cuff that was moved takes nobody's readings with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import batches
from api.gateways import REMEMBER_S, hash_token
from devices.readings import Quality
from store import equipment, gateways, readings
from store.equipment import DeviceKind, Registration
from store.gateways import DeviceRef, Past
from store.postgres import Database
from tests.api.callers import CUFF, GATEWAY, iso, reading, send
from tests.household import Household

pytestmark = pytest.mark.anyio

WANG, ZHAO, FORMER = 11, 12, 13
CUFF_KIND = DeviceKind("blood_pressure", "Blood pressure monitor", "血压计")


async def stored(database: Database, home: Household, resident: int) -> dict[str, float]:
    async with database.reader(home.doctor.id) as c:
        return {r.metric: r.value for r in await readings.recent(c, resident, 100)}


async def share(database: Database, home: Household, users: dict[int, int]) -> None:
    async with database.service() as c:
        await equipment.share(c, home.administrator.id, home.cuff, users)
    await anyio.sleep(REMEMBER_S + 0.1)


async def test_what_a_cuff_remembers_stays_its_owner_s_when_another_gateway_collects_it(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    by, now = home.administrator.id, datetime.now(UTC)
    async with database.service() as c:
        number = await equipment.add_gateway(c, by, "stairway 3")
        await c.execute("UPDATE gateway SET key_hash = %s WHERE id = %s", [hash_token("key 3"), number])
        await equipment.register(c, by, Registration(CUFF, number, home.zhao, CUFF_KIND, None, None, None), now)
    taken = [reading("pulse", 66, now - timedelta(hours=1)), reading("pulse", 77, now + timedelta(seconds=1))]
    answer = await client.post("/v1/readings", json={"readings": taken}, headers={"Authorization": "Bearer key 3"})
    assert answer.json()["accepted"] == 2
    assert await stored(database, home, home.wang) == {"pulse": 66}
    assert await stored(database, home, home.zhao) == {"pulse": 77}


async def test_a_cuff_that_is_registered_again_stays_shared(database: Database, home: Household) -> None:
    by, users = home.administrator.id, {1: home.wang, 2: home.zhao}
    again = Registration(CUFF, home.gateway, home.wang, CUFF_KIND, "by the bed", None, None)
    async with database.service() as c:
        await equipment.share(c, by, home.cuff, users)
        await equipment.register(c, by, again, datetime.now(UTC))
        assert (await gateways.devices_of(c, home.gateway))[CUFF].users == users


async def test_each_user_s_reading_is_filed_under_that_user(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    await share(database, home, {1: home.wang, 2: home.zhao})
    now = datetime.now(UTC)
    hers = [reading("systolic", 131, now, user=1), reading("diastolic", 81, now, user=1)]
    later = now + timedelta(seconds=60)
    his = [reading("systolic", 142, later, user=2), reading("diastolic", 92, later, user=2)]
    answer = await send(client, *hers, *his)
    assert answer.json() == {"accepted": 4, "duplicate": 0, "quarantined": 0, "rejected": []}
    assert await stored(database, home, home.wang) == {"systolic": 131, "diastolic": 81}
    assert await stored(database, home, home.zhao) == {"systolic": 142, "diastolic": 92}
    assert (await send(client, *hers, *his)).json()["duplicate"] == 4


@pytest.mark.parametrize("user", [3, None])
async def test_a_user_whom_nobody_has_named_is_set_aside_where_staff_see_it(
    client: httpx.AsyncClient, database: Database, home: Household, user: int | None
) -> None:
    await share(database, home, {1: home.wang, 2: home.zhao})
    now = datetime.now(UTC)
    battery = reading("battery", 60, now)
    answer = await send(client, reading("systolic", 190, now, user=user), battery)
    assert (answer.json()["accepted"], answer.json()["quarantined"]) == (1, 1)
    async with database.reader(home.doctor.id) as c:
        [row] = await readings.unusable(c, home.wang, 10)
    assert (row.reason, row.value) == ("unassigned_user", 190)
    assert "systolic" not in await stored(database, home, home.wang)
    assert await stored(database, home, home.zhao) == {}


async def test_without_assignments_every_user_is_the_resident(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    await share(database, home, {1: home.wang, 2: home.zhao})
    await share(database, home, {})
    await send(client, reading("systolic", 131, datetime.now(UTC), user=2))
    assert await stored(database, home, home.wang) == {"systolic": 131}


async def test_a_shared_cuff_stands_on_both_pages(database: Database, home: Household) -> None:
    async with database.service() as c:
        await equipment.share(c, home.administrator.id, home.cuff, {1: home.wang, 2: home.zhao})
    async with database.reader(home.doctor.id) as c:
        assert home.cuff in [d.id for d in await gateways.devices(c, home.zhao)]
        assert home.cuff in [d.id for d in await gateways.devices(c, home.wang)]


async def test_what_was_measured_before_a_move_stays_with_whom_it_was_measured(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    moved_at = datetime.now(UTC)
    async with database.service() as c:
        await equipment.move(c, home.administrator.id, home.cuff, home.zhao, moved_at)
    await anyio.sleep(REMEMBER_S + 0.1)
    before, after = moved_at - timedelta(hours=1), moved_at + timedelta(minutes=1)
    wrong_clock = reading(
        "pulse", 66, moved_at - timedelta(days=900), quality=int(Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET)
    )
    wrong_clock["collected_at"] = iso(after)
    await send(client, reading("systolic", 131, before), reading("systolic", 142, after), wrong_clock)
    assert await stored(database, home, home.wang) == {"systolic": 131}
    assert await stored(database, home, home.zhao) == {"systolic": 142, "pulse": 66}


async def test_however_often_it_changed_hands_each_keeps_what_she_measured(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    """A gateway that was offline for weeks sends it all when the cuff has gone from Wang and her husband to Zhao and back."""
    start = datetime.now(UTC) - timedelta(days=9)
    async with database.service() as c:
        await equipment.share(c, home.administrator.id, home.cuff, {1: home.wang, 2: home.zhao})
        await equipment.move(c, home.administrator.id, home.cuff, home.zhao, start + timedelta(days=3))
        await equipment.move(c, home.administrator.id, home.cuff, home.wang, start + timedelta(days=6))
    await anyio.sleep(REMEMBER_S + 0.1)
    days = {"systolic": (1, 2), "diastolic": (2, 1), "pulse": (4, 1), "spo2": (8, 2)}
    items = [reading(metric, 80, start + timedelta(days=day), user=user) for metric, (day, user) in days.items()]
    answer = await send(client, *items)
    assert answer.json()["accepted"] == 4
    assert await stored(database, home, home.wang) == {"diastolic": 80, "spo2": 80}
    assert await stored(database, home, home.zhao) == {"systolic": 80, "pulse": 80}


async def test_what_a_gateway_kept_of_a_device_that_is_another_s_by_now_is_not_lost(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    removed_at = datetime.now(UTC) - timedelta(days=2)
    async with database.service() as c:
        await equipment.remove(c, home.administrator.id, home.cuff, removed_at)
    await anyio.sleep(REMEMBER_S + 0.1)
    before, after = removed_at - timedelta(hours=1), removed_at + timedelta(hours=1)
    answer = (await send(client, reading("systolic", 131, before), reading("systolic", 142, after))).json()
    assert (answer["accepted"], [r["reason"] for r in answer["rejected"]]) == (1, ["unknown_device"])
    assert await stored(database, home, home.wang) == {"systolic": 131}
    beat = {"version": "1", "clock": iso(datetime.now(UTC))}
    configured = (await client.post("/v1/heartbeat", json=beat, headers=GATEWAY)).json()["devices"]
    assert CUFF not in [d["address"] for d in configured]


async def test_a_call_for_help_that_nobody_could_date_is_of_whom_the_button_is_now(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    async with database.service() as c:
        await equipment.move(c, home.administrator.id, home.cuff, home.zhao, datetime.now(UTC))
    await anyio.sleep(REMEMBER_S + 0.1)
    # As a gateway sends it that began in 1970 after a power cut (devices/timekeeper.py), and one that knows no better.
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    quality = Quality.NO_DEVICE_TIME | Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET
    call = reading("help_call", 1, epoch + timedelta(minutes=2), quality=int(quality))
    fall = reading("fall", 0.9, epoch + timedelta(minutes=3), quality=int(Quality.NO_DEVICE_TIME))
    call["collected_at"] = fall["collected_at"] = iso(epoch)
    await send(client, call, fall)
    assert await stored(database, home, home.zhao) == {"help_call": 1, "fall": 0.9}
    assert await stored(database, home, home.wang) == {}


async def test_an_emergency_of_a_shared_device_is_never_nobodys(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    await share(database, home, {1: home.wang, 2: home.zhao})
    answer = await send(client, reading("glucose_below_scale", 1, datetime.now(UTC)))
    assert (answer.json()["accepted"], answer.json()["quarantined"]) == (1, 0)
    assert await stored(database, home, home.wang) == {"glucose_below_scale": 1}


USERS = st.dictionaries(st.integers(0, 254), st.sampled_from((WANG, ZHAO)), max_size=4)
SENT = st.lists(
    st.tuples(
        st.sampled_from(("systolic", "pulse", "battery", "help_call")),
        st.none() | st.integers(0, 255),
        st.integers(-5, 5).filter(bool),
        st.booleans(),
    ),
    max_size=30,
)


@given(USERS, st.booleans(), SENT)
def test_filing_by_the_thousand_is_filing_one_by_one(
    users: dict[int, int], moved: bool, sent: list[tuple[str, int | None, int, bool]]
) -> None:
    moved_at = datetime(2026, 11, 20, tzinfo=UTC)
    past = (Past(moved_at, FORMER),) if moved else ()
    device = DeviceRef(1, WANG, "blood_pressure", None, {}, users, past)
    at = [moved_at + timedelta(hours=hours) for _, _, hours, _ in sent]
    body = [
        batches.WireReading(CUFF, metric, 80, t, moved_at, int(Quality.CLOCK_SUSPECT) if doubted else 0, user)
        for (metric, user, _, doubted), t in zip(sent, at, strict=True)
    ]
    received = batches.decode(b"{}")
    received.readings, received.places = body, np.arange(len(body))
    columns, rejected = batches.columns(
        received, batches.Devices({"C0:FF:FF:FF:FF:FF": DeviceRef(2, 99, "scale", None), CUFF: device})
    )
    assert rejected == []
    for row, ((metric, user, hours, doubted), resident, nobodys) in enumerate(
        zip(sent, columns.resident_id.tolist(), columns.is_nobodys.tolist(), strict=True)
    ):
        slot = 255 if user is None else user
        if moved and hours < 0 and not doubted:
            expected = (FORMER, False)
        elif not users or metric == "battery":
            expected = (WANG, False)
        else:
            expected = (users.get(slot, WANG), slot not in users and metric != "help_call")
        assert (resident, nobodys) == expected, row
