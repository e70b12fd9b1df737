"""Advertisements as bleak tells them, from the raw structures bumble hears (Core Supplement, part A)."""

from __future__ import annotations

from typing import Any, Final

from bleak.backends.scanner import AdvertisementData
from bumble import core
from bumble.core import AdvertisingData

_UUID_LISTS: Final = {0x02: 2, 0x03: 2, 0x04: 4, 0x05: 4, 0x06: 16, 0x07: 16}
_SERVICE_DATA: Final = {0x16: 2, 0x20: 4, 0x21: 16}
_NAMES: Final = (AdvertisingData.COMPLETE_LOCAL_NAME, AdvertisingData.SHORTENED_LOCAL_NAME)


def long_uuid(uuid: core.UUID) -> str:
    """A UUID in the 128-bit form bleak uses."""
    digits = uuid.to_bytes(force_128=True)[::-1].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def advertisement_data(advertisement: Any, before: AdvertisementData | None) -> AdvertisementData:
    """What is known of a device after one more report: what it said ``before`` stands until it says other."""
    name = before.local_name if before else None
    manufacturer = dict(before.manufacturer_data) if before else {}
    service_data = dict(before.service_data) if before else {}
    services = list(before.service_uuids) if before else []
    power = before.tx_power if before else None
    for kind, data in advertisement.data.ad_structures:
        if kind in _NAMES:
            name = data.decode("utf-8", "replace")
        elif kind == AdvertisingData.MANUFACTURER_SPECIFIC_DATA:
            manufacturer[int.from_bytes(data[:2], "little")] = bytes(data[2:])
        elif kind == AdvertisingData.TX_POWER_LEVEL:
            power = int.from_bytes(data[:1], "little", signed=True)
        elif size := _UUID_LISTS.get(kind):
            services += [u for u in _uuids(data, size) if u not in services]
        elif size := _SERVICE_DATA.get(kind):
            service_data[_uuids(data[:size], size)[0]] = bytes(data[size:])
    return AdvertisementData(name, manufacturer, service_data, services, power, advertisement.rssi, (advertisement,))


def _uuids(data: bytes, size: int) -> list[str]:
    pieces = (data[i : i + size] for i in range(0, len(data) - size + 1, size))
    return [long_uuid(core.UUID.from_bytes(piece)) for piece in pieces]
