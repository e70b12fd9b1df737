"""Fills an empty record with the demo's neighbourhood, and an old one with the days missed since.

Everything here goes the way real data would: people and relations through ``store``, readings by their key, so
that doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from argon2 import PasswordHasher

from alerts import on_duty
from api.demo import duty, history
from api.demo.neighbourhood import (
    ADMINISTRATOR,
    CARE_WORKERS,
    CENTRE_EN,
    CENTRE_PHONE,
    CENTRE_ZH,
    DOCTORS,
    GATEWAY,
    HOMES,
    STAFF,
    SUPERVISOR,
    TIME_ZONE,
    Home,
    Human,
)
from devices.readings import METRICS, Quality
from store import gateways, parameters, people, readings, residents
from store.postgres import Connection, Database

PASSWORD: Final = "hearthwatch"  # noqa: S105  a demo on the loopback interface, its data invented
_WHY: Final = "高龄，目标放宽"
"""A doctor's own note, in her language."""
_PAIRING_PLACEHOLDER: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Household:
    """A home as the record knows it: the resident's number, and the device numbers by kind."""

    home: Home
    resident_id: int
    devices: dict[str, int]


@dataclass(frozen=True, slots=True)
class Seeded:
    """The neighbourhood in the record. ``people`` by sign-in name; ``homes`` by their number."""

    centre_id: int
    gateway_id: int
    people: dict[str, UUID]
    homes: dict[int, Household]


async def seed(database: Database, now: datetime) -> Seeded:
    """Make the neighbourhood if it is not there, and its rota, keep the coming weeks alive, fill in the missed days."""
    async with database.service() as c:
        seeded = await _find(c) or await _furnish(c, now)
        living = {home.resident_id: home.home.building for home in seeded.homes.values()}
        await duty.write(c, seeded.centre_id, seeded.people, living, now)
    for household in seeded.homes.values():
        async with database.service() as c:
            await _fill_history(c, seeded, household, now)
    return seeded


async def first_on_duty(database: Database, seeded: Seeded, now: datetime) -> str:
    """The sign-in name of her who is called first just now."""
    async with database.service() as c:
        rota = await on_duty.rota(c, seeded.centre_id, now, now)
    [called, *_] = rota.of("care_worker", 1, None, now).turns
    return next(name for name, person in seeded.people.items() if person == called.person)


async def _find(c: Connection) -> Seeded | None:
    gateway = next((g for g in await gateways.gateways(c) if g.name == GATEWAY), None)
    if gateway is None:
        return None
    by_name: dict[str, UUID] = {}
    for human in (*STAFF, ADMINISTRATOR, *(h.human for h in HOMES)):
        if account := await people.account(c, human.username):
            by_name[human.username] = account.person_id
    by_person = {r.person_id: r.id for r in await residents.residents(c)}
    known = await gateways.devices_of(c, gateway.id)
    homes = {
        home.number: Household(
            home,
            by_person[by_name[home.human.username]],
            {twin.kind: known[twin.address].id for twin in home.twins},
        )
        for home in HOMES
    }
    return Seeded(gateway.centre_id, gateway.id, by_name, homes)


async def _furnish(c: Connection, now: datetime) -> Seeded:
    centre_id = await people.add_centre(c, CENTRE_ZH, CENTRE_EN, CENTRE_PHONE, TIME_ZONE)
    password_hash = PasswordHasher().hash(PASSWORD)
    by_name = {
        human.username: await _add_human(c, centre_id, human, password_hash) for human in (*STAFF, ADMINISTRATOR)
    }
    await gateways.issue_pairing_code(c, centre_id, GATEWAY, b"", now - _PAIRING_PLACEHOLDER)
    gateway_id = next(g.id for g in await gateways.gateways(c) if g.name == GATEWAY)
    homes = {}
    for home in HOMES:
        by_name[home.human.username] = await _add_human(c, centre_id, home.human, password_hash)
        homes[home.number] = await _furnish_home(c, centre_id, gateway_id, home, by_name, password_hash, now)
    return Seeded(centre_id, gateway_id, by_name, homes)


async def _add_human(c: Connection, centre_id: int, human: Human, password_hash: str) -> UUID:
    person = await people.add_person(c, centre_id, human.name_zh, human.name_en, human.phone, human.language)
    await people.add_account(c, person.id, human.username, password_hash, human.face)
    return person.id


async def _furnish_home(
    c: Connection,
    centre_id: int,
    gateway_id: int,
    home: Home,
    by_name: dict[str, UUID],
    password_hash: str,
    now: datetime,
) -> Household:
    resident_id = await residents.add(
        c,
        residents.NewResident(
            by_name[home.human.username],
            centre_id,
            home.born,
            home.sex,
            home.address_zh,
            home.address_en,
            home.conditions,
        ),
    )
    await residents.grant(c, by_name[DOCTORS[home.doctor].username], resident_id, "doctor")
    for name, value in home.target.items():
        doctor = by_name[DOCTORS[home.doctor].username]
        await parameters.set_own(c, resident_id, name, value, now, by=doctor, why=_WHY)
    for worker in CARE_WORKERS:
        await residents.grant(c, by_name[worker.username], resident_id, "care_worker")
    await residents.grant(c, by_name[SUPERVISOR.username], resident_id, "supervisor")
    for relative in home.relatives:
        person = await _add_human(c, centre_id, relative.human, password_hash)
        called = (relative.called_zh, relative.called_en)
        await residents.grant(c, person, resident_id, "family", called=called, granted_by=by_name[home.human.username])
    devices = {
        twin.kind: await gateways.add_device(c, twin.address, resident_id, twin.kind, gateway_id, bindkey=twin.bindkey)
        for twin in home.twins
    }
    return Household(home, resident_id, devices)


async def _fill_history(c: Connection, seeded: Seeded, household: Household, now: datetime) -> None:
    found = await readings.span(c, household.resident_id, METRICS["systolic"].code)
    first, last = found or (now - timedelta(days=history.DAYS), None)
    since = first if last is None else last + timedelta(minutes=10)
    until = now - timedelta(minutes=5, days=household.home.pattern.silent_days)
    measured = history.measurements(household.home, first.date(), since, until)
    usable = [m for m in measured if m.reason is None]
    if usable:
        await readings.insert(c, _columns(seeded, household, usable, now))
    await readings.quarantine(c, [q for m in measured if m.reason for q in _unusable(seeded, household, m)])


def _columns(
    seeded: Seeded, household: Household, measured: Sequence[history.Measurement], now: datetime
) -> readings.Incoming:
    names = ("systolic", "diastolic", "mean_arterial_pressure", "pulse")
    values = np.array([(m.systolic, m.diastolic, m.mean, m.pulse) for m in measured], np.float64).reshape(-1)
    at = np.array([m.at.astimezone(UTC).replace(tzinfo=None) for m in measured], "datetime64[us]")
    n = len(values)
    return readings.Incoming(
        seeded.gateway_id,
        now,
        np.full(n, household.resident_id, np.int32),
        np.tile(np.array([METRICS[name].code for name in names], np.int16), len(measured)),
        np.full(n, household.devices["blood_pressure"], np.int32),
        np.repeat(at, len(names)),
        np.repeat(at, len(names)),
        values,
        np.repeat(np.array([int(m.quality) for m in measured], np.int32), len(names)),
        np.full(n, 1, np.int16),
    )


def _unusable(seeded: Seeded, household: Household, m: history.Measurement) -> list[readings.Quarantined]:
    device = household.home.twin("blood_pressure").address
    raw = {"systolic": m.systolic, "diastolic": m.diastolic, "pulse": m.pulse, "quality": int(Quality(m.quality))}
    pairs = (("systolic", m.systolic), ("diastolic", m.diastolic))
    return [
        readings.Quarantined(
            device, name, value, m.at, m.at, m.reason or "", seeded.gateway_id, household.resident_id, raw
        )
        for name, value in pairs
    ]
