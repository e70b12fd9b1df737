"""What a gateway tells of devices that are not of its home."""

from __future__ import annotations

from datetime import UTC, datetime

from bleak.backends.scanner import AdvertisementData

from devices.drivers import kinds
from devices.finder import LASTS_S, MOST, MOST_SERVICES, Finder
from devices.gatt import blood_pressure

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BTHOME = "0000fcd2-0000-1000-8000-00805f9b34fb"


def said(rssi: int = -60, services: tuple[str, ...] = (), data: dict[str, bytes] | None = None) -> AdvertisementData:
    return AdvertisementData(None, {}, data or {}, list(services), None, rssi, ())


class Ear:
    """A finder under a clock of the test's own."""

    def __init__(self) -> None:
        self.at = 100.0
        self.finder = Finder(kinds(), clock=lambda: self.at)

    def hear(self, number: int, advertisement: AdvertisementData, name: str | None = None, after: float = 1.0) -> None:
        self.at += after
        self.finder.hear(f"C0:00:00:00:{number >> 8:02X}:{number & 0xFF:02X}", name, advertisement, NOW)


def test_a_cuff_is_recognised_by_its_service_and_can_be_connected_to() -> None:
    ear = Ear()
    ear.hear(1, said(services=(blood_pressure.SERVICE,)), "BPM One")
    [found] = ear.finder.found()
    assert (found.name, found.kinds, found.connectable) == ("BPM One", ("blood_pressure",), True)
    assert found.services == (blood_pressure.SERVICE,)


def test_a_button_is_recognised_by_what_it_broadcasts_and_cannot() -> None:
    ear = Ear()
    ear.hear(1, said(data={BTHOME: bytes([0x41]) + bytes(12)}))
    [found] = ear.finder.found()
    assert "help_button" in found.kinds
    assert not found.connectable


def test_what_nobody_knows_is_told_without_a_guess() -> None:
    ear = Ear()
    ear.hear(1, said())
    [found] = ear.finder.found()
    assert (found.kinds, found.connectable) == ((), True)


def test_what_a_device_says_in_turns_is_put_together() -> None:
    ear = Ear()
    ear.hear(1, said(services=(blood_pressure.SERVICE,)))
    ear.hear(1, said(-70), "BPM One")
    [found] = ear.finder.found()
    assert (found.name, found.kinds, found.rssi_dbm) == ("BPM One", ("blood_pressure",), -70)


def test_a_stranger_that_says_something_else_each_time_does_not_spoil_the_heartbeat() -> None:
    ear = Ear()
    for n in range(100):
        ear.hear(1, said(services=(f"0000{n:04x}-0000-1000-8000-00805f9b34fb", blood_pressure.SERVICE)))
    [found] = ear.finder.found()
    assert len(found.services) == MOST_SERVICES
    assert blood_pressure.SERVICE in found.services


def test_the_loudest_come_first_and_the_quietest_make_room() -> None:
    ear = Ear()
    for number in range(MOST):
        ear.hear(number, said(-40 - number // 2), after=0.1)
    ear.hear(500, said(-99), after=0.1)
    ear.hear(501, said(-30), after=0.1)
    loudness = [f.rssi_dbm for f in ear.finder.found()]
    assert len(loudness) == MOST
    assert loudness == sorted(loudness, reverse=True)
    assert (loudness[0], -99 in loudness) == (-30, False)


def test_who_has_gone_is_told_no_more_and_does_not_stand_in_the_way() -> None:
    ear = Ear()
    for number in range(MOST):
        ear.hear(number, said(-40), after=0.0)
    ear.hear(500, said(-90), after=LASTS_S + 1)
    assert [f.rssi_dbm for f in ear.finder.found()] == [-90]


def test_a_device_that_floods_the_air_is_looked_at_twice_a_second_at_most() -> None:
    ear = Ear()
    looked = 0

    class Counting(kinds()["blood_pressure"]):  # type: ignore[misc]
        @classmethod
        def recognises(cls, advertisement: AdvertisementData) -> bool:
            nonlocal looked
            looked += 1
            return super().recognises(advertisement)

    ear.finder = Finder({"blood_pressure": Counting}, clock=lambda: ear.at)
    for _ in range(1000):
        ear.hear(1, said(), after=0.01)
    assert looked <= 21


def test_a_device_given_to_the_home_is_no_stranger_and_nobody_is_when_nobody_looks() -> None:
    ear = Ear()
    ear.hear(1, said())
    ear.hear(2, said())
    ear.finder.forget("C0:00:00:00:00:01")
    assert [f.address for f in ear.finder.found()] == ["C0:00:00:00:00:02"]
    ear.finder.clear()
    assert ear.finder.found() == []
