"""While somebody works on a home's equipment, its own alarms wait; hers never do, and nothing is lost at the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from alerts.maintenance import LONGEST, Maintenance
from store import gateways, maintenance, readings
from store.administration import NotAllowed
from store.postgres import Database
from tests.alerts.test_worker import Home
from tests.household import NOW, batch, furnish

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


class Serviced(Home):
    """Mrs Wang's home, in which somebody works on the equipment."""

    async def begin(self, until: datetime = NOW + 4 * HOUR) -> None:
        async with self.database.service() as c:
            by = self.people.li_na.id
            await maintenance.begin_of_resident(c, by, self.people.wang, until, "new router", self.clock.now)

    async def begin_at_gateway(self, gateway: int, by: UUID, until: datetime = NOW + 4 * HOUR) -> None:
        async with self.database.service() as c:
            await maintenance.begin_of_gateway(c, by, gateway, until, "moved to another floor", self.clock.now)

    async def tell(self, device: int, metric: str, value: float) -> None:
        told = self.people.wang, device, metric, value, self.clock.now
        async with self.database.service() as c:
            await readings.insert(c, batch(self.people, told, received_at=self.clock.now))
        await self.judged()

    async def go_on(self, length: timedelta) -> None:
        """Time passes, and whatever nothing holds back any more is raised."""
        self.clock.go_on(seconds=length.total_seconds())
        await self.judged()
        await Maintenance(self.database, clock=self.clock).round()

    async def board(self) -> list[str]:
        return sorted(row.rule for row in await self.open_alerts() if row.resident_id == self.people.wang)


@pytest.fixture
async def home(database: Database) -> Serviced:
    async with database.service() as c:
        return Serviced(database, await furnish(c))


async def test_a_device_s_own_alarm_waits_and_is_raised_at_the_end(home: Serviced) -> None:
    await home.begin()
    await home.tell(home.people.wearable, "battery", 9)
    await home.go_on(3 * HOUR)
    assert await home.board() == []
    await home.go_on(1 * HOUR)
    [row] = await home.open_alerts()
    assert (row.rule, row.happened_at, row.raised_at) == ("device.battery", NOW, NOW + 4 * HOUR)
    assert row.evidence["battery"] == 9.0


async def test_what_has_cleared_meanwhile_is_not_raised(home: Serviced) -> None:
    await home.begin()
    await home.tell(home.people.wearable, "battery", 9)
    home.clock.go_on(hours=1)
    await home.tell(home.people.wearable, "battery", 8)  # still low: held back, not closed
    home.clock.go_on(hours=1)
    await home.tell(home.people.wearable, "battery", 96)
    await home.go_on(3 * HOUR)
    assert await home.board() == []


async def test_a_silence_that_begins_meanwhile_is_raised_at_the_end(home: Serviced) -> None:
    await home.measure(systolic=128, diastolic=79)
    await home.judged()
    await home.go_on(timedelta(days=2, hours=23))
    await home.begin(home.clock.now + 4 * HOUR)
    await home.go_on(2 * HOUR)
    assert await home.board() == []
    await home.go_on(2 * HOUR)
    assert await home.board() == ["bp.missing"]


async def test_her_own_values_and_calls_are_never_held_back(home: Serviced) -> None:
    await home.begin()
    await home.tell(home.people.button, "help_call", 1)
    await home.measure(systolic=192, diastolic=118)
    home.clock.go_on(minutes=6)
    await home.measure(systolic=190, diastolic=117)
    await home.judged()
    assert await home.board() == ["bp.severe", "help_call"]


async def test_an_alarm_from_before_stays_and_its_clearing_is_written_down(home: Serviced) -> None:
    await home.tell(home.people.wearable, "battery", 9)
    await home.begin()
    home.clock.go_on(hours=1)
    await home.tell(home.people.wearable, "battery", 96)
    [row] = await home.open_alerts()
    assert row.cleared_at == home.clock.now


async def test_ended_before_its_time_it_raises_at_once(home: Serviced) -> None:
    await home.begin()
    await home.tell(home.people.wearable, "battery", 9)
    async with home.database.service() as c:
        await maintenance.end_of_resident(c, home.people.li_na.id, home.people.wang, home.clock.now)
    await home.go_on(timedelta(seconds=10))
    assert await home.board() == ["device.battery"]


async def test_a_gateway_s_maintenance_is_of_what_is_behind_it(home: Serviced) -> None:
    async with home.database.service() as c:
        await gateways.issue_pairing_code(c, home.people.centre, "other", b"other code", NOW + HOUR)
        other = await gateways.redeem(c, b"other code", b"other key", NOW)
        assert other is not None
        elsewhere = await gateways.add_device(c, "C0:00:00:00:00:09", home.people.wang, "wearable", other.id)
    await home.begin_at_gateway(home.people.gateway, home.people.administrator.id)
    await home.tell(home.people.wearable, "battery", 9)
    await home.tell(-home.people.gateway, "gateway_silence", 1.5)
    assert await home.board() == []
    await home.tell(elsewhere, "device_silence", 2)
    assert await home.board() == ["device.silent"]


async def test_it_lasts_a_day_at_most(home: Serviced) -> None:
    await home.begin(NOW + LONGEST)
    with pytest.raises(psycopg.errors.CheckViolation):
        await home.begin(NOW + LONGEST + timedelta(seconds=1))


async def test_only_the_administrator_of_its_centre_sets_a_gateway_s(home: Serviced) -> None:
    with pytest.raises(NotAllowed):
        await home.begin_at_gateway(home.people.gateway, home.people.doctor.id)


async def test_staff_and_administrator_know_of_it_and_family_does_not(home: Serviced) -> None:
    await home.begin()
    await home.begin_at_gateway(home.people.gateway, home.people.administrator.id)
    seen = {}
    for who in ("doctor", "li_na", "administrator", "daughter"):
        async with home.database.reader(getattr(home.people, who).id) as c:
            seen[who] = sorted(one.why for one in await maintenance.current(c, NOW))
    both = ["moved to another floor", "new router"]
    assert seen == {"doctor": both, "li_na": both, "administrator": ["", "moved to another floor"], "daughter": []}
