"""What becomes of readings: the good are kept, the bad are named, and every count is exact."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api import batches
from devices.readings import Quality
from store import feed, gateways, readings
from store.postgres import Database, value
from tests.api.callers import BUTTON, CUFF, GATEWAY, WEARABLE, iso, reading, send
from tests.household import Household

pytestmark = pytest.mark.anyio


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=123457)


async def stored(database: Database) -> int:
    async with database.service() as c:
        return int(await value(c, "SELECT count(*) FROM reading"))


async def unusable(database: Database, home: Household) -> dict[str, str]:
    async with database.reader(home.doctor.id) as c:
        return {u.metric: u.reason for u in await readings.unusable(c, home.wang, 100)}


def counts(answer: httpx.Response) -> tuple[int, int, int, int]:
    assert answer.status_code == httpx.codes.OK, answer.text
    said = answer.json()
    return said["accepted"], said["duplicate"], said["quarantined"], len(said["rejected"])


async def test_a_measurement_is_stored_to_the_microsecond_and_handed_to_the_watch(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    answer = await send(
        client,
        reading("systolic", 132, now, user=2, quality=int(Quality.IRREGULAR_PULSE)),
        reading("diastolic", 81.5, now, user=2),
    )
    assert counts(answer) == (2, 0, 0, 0)
    async with database.reader(home.doctor.id) as c:
        rows = {r.metric: r for r in await readings.recent(c, home.wang, 10)}
    assert (rows["systolic"].value, rows["diastolic"].value) == (132.0, 81.5)
    assert rows["systolic"].measured_at == now
    assert (rows["systolic"].user_slot, rows["systolic"].quality) == (2, Quality.IRREGULAR_PULSE)
    async with database.service() as c:
        fed = await feed.next_batch(c, feed.Position(), 10)
    assert fed is not None
    assert len(fed) == 2


async def test_a_replay_in_another_order_is_counted_and_not_stored_again(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    items = [reading("pulse", 60 + i, now - timedelta(minutes=i)) for i in range(20)]
    assert counts(await send(client, *items[:15])) == (15, 0, 0, 0)
    assert counts(await send(client, *reversed(items))) == (5, 15, 0, 0)
    assert counts(await send(client, *items, *items)) == (0, 40, 0, 0)
    assert await stored(database) == 20


async def test_the_same_moment_in_another_zone_is_the_same_reading(
    client: httpx.AsyncClient, home: Household, now: datetime
) -> None:
    item = reading("pulse", 70, now)
    elsewhere = now.astimezone(timezone_of(8)).isoformat()
    assert counts(await send(client, item, {**item, "measured_at": elsewhere})) == (1, 1, 0, 0)


def timezone_of(hours: int) -> Any:
    from datetime import timezone

    return timezone(timedelta(hours=hours))


async def test_the_good_of_a_mixed_batch_are_kept_and_the_bad_are_named(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    good = reading("pulse", 70, now)
    answer = await send(
        client,
        good,
        {**good, "value": "seventy"},
        {**good, "device": "C0:FF:FF:FF:FF:FF"},
        {**good, "metric": "mood"},
        {**good, "measured_at": "yesterday"},
        {k: v for k, v in good.items() if k != "collected_at"},
        {**good, "measured_at": "2026-01-01T00:00:00"},
        17,
        {**good, "user": 256},
        {**good, "quality": -1},
        {**good, "detail": {"impact_g": "hard"}},
        {**good, "detail": {"\0": 1}},
        {**good, "measured_at": "0001-01-01T00:00:00+10:00"},
        reading("pulse", 71, now - timedelta(minutes=1)),
    )
    assert counts(answer) == (2, 0, 0, 12)
    named = [(r["index"], r["reason"], r.get("field")) for r in answer.json()["rejected"]]
    assert named == [
        (1, "malformed", "value"),
        (2, "unknown_device", "device"),
        (3, "unknown_metric", "metric"),
        (4, "malformed", "measured_at"),
        (5, "malformed", "collected_at"),
        (6, "malformed", "measured_at"),
        (7, "malformed", None),
        (8, "malformed", "user"),
        (9, "malformed", "quality"),
        (10, "malformed", "detail[...]"),
        (11, "malformed", "detail"),
        (12, "malformed", "measured_at"),
    ]
    assert "collected_at" in answer.json()["rejected"][4]["detail"]
    assert await stored(database) == 2


async def test_a_number_beyond_all_bounds_is_named_and_takes_nothing_with_it(
    client: httpx.AsyncClient, home: Household, now: datetime
) -> None:
    good, bad = json.dumps(reading("pulse", 70, now)), json.dumps(reading("pulse", 7777, now))
    body = f'{{"readings": [{bad.replace("7777", "1e999")}, {good}]}}'
    answer = await client.post("/v1/readings", content=body, headers=GATEWAY)
    assert counts(answer) == (1, 0, 0, 1)
    assert answer.json()["rejected"][0]["field"] == "value"


NOT_JSON = (
    (b"", 0),
    (b'{"readings": [', 14),
    (b'{"readings": [}', 14),
    (b'{"readings": [{"value": NaN}]}', 24),
    (b'{"readings": [{"value": Infinity}]}', 24),
    (b'{"readings": [{"device": "\xff"}]}', 26),
    (b'{"readings": []} and more', 18),
    (b"\x1f\x8b\x08\x00", 0),
)


async def test_what_is_not_json_is_refused_with_the_byte_where_it_ceases_to_be(
    client: httpx.AsyncClient, home: Household
) -> None:
    for body, position in NOT_JSON:
        answer = await client.post("/v1/readings", content=body, headers=GATEWAY)
        assert answer.status_code == 400, body
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["type"], problem["status"]) == ("urn:hearthwatch:problem:malformed", 400)
        assert problem["position"] == position, body
        assert str(position) in problem["detail"]


async def test_json_of_another_shape_is_refused_with_the_field(client: httpx.AsyncClient, home: Household) -> None:
    for body, field in ((b"[]", None), (b'{"readings": {}}', "readings"), (b'{"refused": 1}', "refused")):
        answer = await client.post("/v1/readings", content=body, headers=GATEWAY)
        assert answer.status_code == 400
        assert answer.json()["field"] == field


async def test_json_nested_without_end_is_refused(client: httpx.AsyncClient, home: Household) -> None:
    answer = await client.post("/v1/readings", content=b'{"x":' + b"[" * 100_000, headers=GATEWAY)
    assert answer.status_code == 400


async def test_ten_megabytes_are_refused(client: httpx.AsyncClient, home: Household) -> None:
    answer = await client.post("/v1/readings", content=b" " * 10_000_000, headers=GATEWAY)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_ten_megabytes_of_unsaid_length_are_refused(client: httpx.AsyncClient, home: Household) -> None:
    async def pieces() -> Any:
        for _ in range(100):
            yield b" " * 100_000

    answer = await client.post("/v1/readings", content=pieces(), headers=GATEWAY)
    assert answer.status_code == 413


@pytest.mark.parametrize("item", [b"{}", None])
async def test_a_million_readings_are_refused_and_none_is_stored(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime, item: bytes | None
) -> None:
    item = item or json.dumps(reading("pulse", 70, now)).encode()
    body = b'{"readings":[' + b",".join([item] * 1_000_000) + b"]}"
    answer = await client.post("/v1/readings", content=body[: 200 * 1_000_000], headers=GATEWAY)
    assert answer.status_code == 413
    assert await stored(database) == 0


async def test_one_reading_too_many_is_refused(client: httpx.AsyncClient, home: Household) -> None:
    body = b'{"readings":[' + b",".join([b"{}"] * (batches.MOST_READINGS + 1)) + b"]}"
    answer = await client.post("/v1/readings", content=body, headers=GATEWAY)
    assert answer.status_code == 413
    assert (answer.json()["type"], answer.json()["field"]) == ("urn:hearthwatch:problem:too_many", "readings")


async def test_an_empty_batch_is_no_error(client: httpx.AsyncClient, home: Household) -> None:
    assert counts(await send(client)) == (0, 0, 0, 0)


@pytest.mark.parametrize("when", [timedelta(days=1), timedelta(minutes=6)])
async def test_a_time_in_the_future_is_kept_flagged_and_not_judged(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime, when: timedelta
) -> None:
    item = reading("systolic", 200, now + when, collected_at=iso(now))
    assert counts(await send(client, item)) == (1, 0, 0, 0)
    async with database.reader(home.doctor.id) as c:
        [row] = await readings.recent(c, home.wang, 10)
    assert (row.at, row.measured_at) == (None, now + when)
    assert row.quality & Quality.CLOCK_SUSPECT
    assert row.received_at < now + timedelta(minutes=1)
    async with database.service() as c:
        assert await feed.next_batch(c, feed.Position(), 10) is None


async def test_a_clock_that_begins_in_2000_is_flagged_by_the_service_too(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    await send(client, reading("systolic", 150, now.replace(year=2000), collected_at=iso(now)))
    async with database.reader(home.doctor.id) as c:
        [row] = await readings.recent(c, home.wang, 10)
    assert (row.at, row.quality) == (None, Quality.CLOCK_SUSPECT)


async def test_a_clock_that_was_just_set_counts_as_collected(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    just_set = int(Quality.CLOCK_JUST_SET)
    await send(client, reading("systolic", 150, now.replace(year=2000), collected_at=iso(now), quality=just_set))
    async with database.reader(home.doctor.id) as c:
        [row] = await readings.recent(c, home.wang, 10)
    assert row.at == now


async def test_a_fall_is_heard_though_the_gateway_s_own_clock_is_wrong(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    wrong = now + timedelta(days=400)
    fall = reading("fall", 0.97, wrong, WEARABLE, quality=int(Quality.NO_DEVICE_TIME), detail={"impact_g": 4.5})
    assert counts(await send(client, fall)) == (1, 0, 0, 0)
    async with database.service() as c:
        fed = await feed.next_batch(c, feed.Position(), 10)
    assert fed is not None
    assert abs(readings.utc(fed.at[0]) - now) < timedelta(minutes=1)
    async with database.reader(home.doctor.id) as c:
        assert await readings.event_detail(c, home.wang, int(fed.metric[0]), wrong) == {"impact_g": 4.5}


async def test_values_no_person_has_are_quarantined_with_the_reason(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    answer = await send(
        client,
        reading("systolic", 20, now),
        reading("diastolic", 15, now),
        reading("pulse", 0, now),
        reading("spo2", 101, now),
        reading("battery", 80, now),
    )
    assert counts(answer) == (1, 0, 4, 0)
    assert await unusable(database, home) == dict.fromkeys(
        ("systolic", "diastolic", "pulse", "spo2"), "implausible_value"
    )


@pytest.mark.parametrize(
    ("systolic", "diastolic", "mean", "reason"),
    [
        (80, 120, 100, "diastolic_above_systolic"),
        (100, 100, 100, "diastolic_above_systolic"),
        (100, 91, 95, "narrow_pulse_pressure"),
        (130, 80, 79, "mean_outside_pair"),
        (130, 80, 131, "mean_outside_pair"),
        (130, 20, 90, "implausible_value"),
        (300, 80, 90, "implausible_value"),
    ],
)
async def test_pressures_that_contradict_each_other_are_quarantined_together(
    client: httpx.AsyncClient,
    database: Database,
    home: Household,
    now: datetime,
    systolic: float,
    diastolic: float,
    mean: float,
    reason: str,
) -> None:
    answer = await send(
        client,
        reading("pulse", 70, now),
        reading("mean_arterial_pressure", mean, now),
        reading("diastolic", diastolic, now),
        reading("systolic", 130, now - timedelta(minutes=1)),
        reading("diastolic", 80, now - timedelta(minutes=1)),
        reading("systolic", systolic, now),
    )
    assert counts(answer) == (3, 0, 3, 0)
    pressures = ("systolic", "diastolic", "mean_arterial_pressure")
    assert await unusable(database, home) == dict.fromkeys(pressures, reason)


@pytest.mark.parametrize(
    ("systolic", "diastolic", "mean"), [(100, 90, 95), (130, 80, 80), (130, 80, 130), (50, 30, 36)]
)
async def test_pressures_at_the_bounds_are_usable(
    client: httpx.AsyncClient, home: Household, now: datetime, systolic: float, diastolic: float, mean: float
) -> None:
    answer = await send(
        client,
        reading("systolic", systolic, now),
        reading("diastolic", diastolic, now),
        reading("mean_arterial_pressure", mean, now),
    )
    assert counts(answer) == (3, 0, 0, 0)


async def test_a_pair_that_arrives_in_two_batches_is_judged_as_one(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    assert counts(await send(client, reading("systolic", 110, now))) == (1, 0, 0, 0)
    assert counts(await send(client, reading("diastolic", 120, now))) == (0, 0, 1, 0)
    assert await unusable(database, home) == {"diastolic": "diastolic_above_systolic"}


async def test_a_quarantined_reading_sent_again_is_a_duplicate(
    client: httpx.AsyncClient, home: Household, now: datetime
) -> None:
    assert counts(await send(client, reading("pulse", 0, now))) == (0, 0, 1, 0)
    assert counts(await send(client, reading("pulse", 0, now), reading("pulse", 0, now))) == (0, 2, 0, 0)


async def test_refused_packets_are_kept_with_their_bytes(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    packet = {"device": CUFF, "characteristic": "2A35", "raw": "1eff07", "reason": "nan_systolic", "at": iso(now)}
    answer = await send(
        client, refused=[packet, {**packet, "device": "C0:FF:FF:FF:FF:FF"}, {**packet, "raw": "xyz"}, 1]
    )
    assert counts(answer) == (0, 0, 0, 0)
    assert [(r["index"], r["reason"]) for r in answer.json()["rejected_refusals"]] == [
        (1, "unknown_device"),
        (2, "malformed"),
        (3, "malformed"),
    ]
    assert await unusable(database, home) == {"2A35": "gateway_refused:nan_systolic"}
    async with database.service() as c:
        assert await value(c, "SELECT raw ->> 'hex' FROM reading_quarantine") == "1eff07"


async def test_a_battery_s_level_is_noted_on_the_device_and_an_older_one_changes_nothing(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    hour = timedelta(hours=1)
    await send(client, reading("battery", 12.4, now, BUTTON), reading("battery", 40, now - hour, BUTTON))
    await send(client, reading("battery", 50, now - 2 * hour, BUTTON))
    async with database.reader(home.doctor.id) as c:
        [button] = [d for d in await gateways.devices(c, home.wang) if d.address == BUTTON]
    assert (button.battery_pct, button.battery_at) == (12, now)


async def test_only_strangers_are_refused_as_a_whole(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    answer = await send(client, reading("pulse", 70, now, "C0:FF:FF:FF:FF:FF"))
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:hearthwatch:problem:unknown_devices"
    assert answer.json()["rejected"][0]["reason"] == "unknown_device"
    assert await stored(database) == 0


async def test_a_gateway_cannot_speak_for_another_s_device(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    async with database.service() as c:
        await c.execute("UPDATE device SET gateway_id = NULL WHERE address = %s", [CUFF])
    answer = await send(client, reading("pulse", 70, now))
    assert answer.status_code == 403
    assert await stored(database) == 0


async def test_a_device_given_to_the_gateway_a_moment_ago_is_not_a_stranger(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    assert counts(await send(client, reading("pulse", 70, now))) == (1, 0, 0, 0)
    async with database.service() as c:
        await gateways.add_device(c, "C0:00:00:00:00:09", home.zhao, "oximeter", home.gateway)
    assert counts(await send(client, reading("spo2", 96, now, "C0:00:00:00:00:09"))) == (1, 0, 0, 0)


async def test_what_happened_is_counted(
    client: httpx.AsyncClient, app: FastAPI, home: Household, now: datetime
) -> None:
    def figure(text: str, name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    before = (await client.get("/metrics")).text
    await send(client, reading("pulse", 70, now), reading("pulse", 0, now), reading("mood", 1, now))
    after = (await client.get("/metrics")).text
    for name in (
        'hearthwatch_readings_total{outcome="accepted"}',
        'hearthwatch_readings_total{outcome="quarantined"}',
        'hearthwatch_readings_unusable_total{reason="implausible_value"}',
        'hearthwatch_readings_unusable_total{reason="unknown_metric"}',
        'hearthwatch_request_seconds_count{method="POST",route="/v1/readings",status="200"}',
    ):
        assert figure(after, name) == figure(before, name) + 1, name
    assert figure(after, "hearthwatch_database_up") == 1


async def test_another_value_at_a_time_that_is_taken_is_kept_aside_and_not_taken_for_a_repetition(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    assert counts(await send(client, reading("systolic", 140, now))) == (1, 0, 0, 0)
    other = await send(client, reading("systolic", 140, now), reading("systolic", 195, now))
    assert counts(other) == (0, 1, 1, 0)
    assert await unusable(database, home) == {"systolic": "same_time_other_value"}
    assert counts(await send(client, reading("systolic", 195, now))) == (0, 1, 0, 0)
