"""A small household for tests: a centre, a doctor, two care workers, a supervisor, two residents, a daughter,
an administrator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import numpy as np

from devices.readings import METRICS
from store import gateways, people, residents, rosters
from store.postgres import Connection
from store.readings import UNKNOWN_USER, Incoming

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Household:
    centre: int
    gateway: int
    wang: int
    zhao: int
    cuff: int
    wearable: int
    button: int
    zhao_cuff: int
    doctor: people.Person
    li_na: people.Person
    chen: people.Person
    supervisor: people.Person
    daughter: people.Person
    administrator: people.Person
    wang_person: UUID
    rosters: dict[str, int]
    """By role and line: ``care_worker_1``, ``care_worker_2``, ``supervisor``."""


async def furnish(c: Connection, now: datetime = NOW) -> Household:
    centre = await people.add_centre(
        c, "槐树街社区卫生服务中心", "Huaishu Street Health Centre", "+8610555500", "Asia/Shanghai"
    )

    async def person(zh: str, en: str, phone: str | None, face: str | None, language: str = "zh_Hans") -> people.Person:
        p = await people.add_person(c, centre, zh, en, phone, language)
        if face:
            await people.add_account(c, p.id, en.split()[0].lower(), "!", face)
        return p

    doctor = await person("刘建国", "Liu Jianguo", "+8613900000001", "doctor")
    li_na = await person("李娜", "Na Li", "+8613900000002", "care_worker")
    chen = await person("陈静", "Chen Jing", "+8613900000003", "care_worker", "en")
    supervisor = await person("周敏", "Zhou Min", "+8613900000004", "care_worker")
    daughter = await person("张晓燕", "Zhang Xiaoyan", "+8613900000005", "family", "en")
    administrator = await person("孙丽华", "Sun Lihua", None, "administrator")
    wang_p = await person("王秀英", "Wang Xiuying", "+8613900000006", "resident")
    zhao_p = await person("赵德明", "Zhao Deming", "+8613900000007", None)
    wang = await residents.add(
        c, residents.NewResident(wang_p.id, centre, date(1944, 3, 2), "female", "9号楼502", "Bldg 9-502")
    )
    zhao = await residents.add(
        c, residents.NewResident(zhao_p.id, centre, date(1948, 7, 9), "male", "3号楼101", "Bldg 3-101")
    )
    for resident in (wang, zhao):
        await residents.grant(c, doctor.id, resident, "doctor")
        await residents.grant(c, li_na.id, resident, "care_worker")
        await residents.grant(c, chen.id, resident, "care_worker")
        await residents.grant(c, supervisor.id, resident, "supervisor")
    await residents.grant(c, daughter.id, wang, "family", called=("妈妈", "Mum"))
    on_duty = {
        "care_worker_1": await put_on_duty(c, centre, "care_worker", 1, li_na, now),
        "care_worker_2": await put_on_duty(c, centre, "care_worker", 2, chen, now),
        "supervisor": await put_on_duty(c, centre, "supervisor", 1, supervisor, now),
    }
    await gateways.issue_pairing_code(c, centre, "stairway 9", b"code", now + timedelta(hours=1))
    gateway = await gateways.redeem(c, b"code", b"key", now)
    assert gateway is not None
    return Household(
        centre,
        gateway.id,
        wang,
        zhao,
        await gateways.add_device(c, "C0:00:00:00:00:01", wang, "blood_pressure", gateway.id),
        await gateways.add_device(c, "C0:00:00:00:00:02", wang, "wearable", gateway.id),
        await gateways.add_device(c, "C0:00:00:00:00:03", wang, "help_button", gateway.id),
        await gateways.add_device(c, "C0:00:00:00:00:04", zhao, "blood_pressure", gateway.id),
        doctor,
        li_na,
        chen,
        supervisor,
        daughter,
        administrator,
        wang_p.id,
        on_duty,
    )


async def put_on_duty(
    c: Connection, centre: int, role: str, line: int, person: people.Person, now: datetime = NOW
) -> int:
    """A roster of its own for this role and line, on which the person is on duty day and night from yesterday on."""
    roster = await rosters.add_roster(c, centre, role, line, f"值班{line}", f"{role} {line}")
    always = rosters.NewShift(
        roster,
        weekdays=range(1, 8),
        starts=time(0),
        ends=time(0),
        valid_from=(now - timedelta(days=2)).date(),
        person_id=person.id,
    )
    await rosters.add_shift(c, centre, always)
    return roster


def batch(
    home: Household,
    *items: tuple[int, int, str, float, datetime],
    quality: int = 0,
    received_at: datetime = NOW,
) -> Incoming:
    """A batch of (resident, device, metric, value, measured_at), collected as measured."""
    at = np.array([i[4].replace(tzinfo=None) for i in items], dtype="datetime64[us]")
    n = len(items)
    return Incoming(
        home.gateway,
        received_at,
        np.array([i[0] for i in items], np.int32),
        np.array([METRICS[i[2]].code for i in items], np.int16),
        np.array([i[1] for i in items], np.int32),
        at,
        at,
        np.array([i[3] for i in items], np.float64),
        np.full(n, quality, np.int32),
        np.full(n, UNKNOWN_USER, np.int16),
    )
