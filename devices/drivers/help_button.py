"""Help buttons that broadcast BTHome v2, encrypted (Shelly BLU Button and its like; bthome.io/encryption).

A press is repeated for a second or two, and whoever records it could send it again later. The packet's counter
settles both: one counter, one press; never a lower one, not even after the gateway was started anew.
"""

from __future__ import annotations

import hashlib
import time
from typing import ClassVar, Final

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bthome_ble import BTHomeBluetoothDeviceData
from habluetooth import BluetoothServiceInfoBleak
from sensor_state_data import SensorUpdate

from devices.desk import Desk
from devices.drivers.driver import Configured, Heard, Title
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading

SERVICE_DATA: Final = "0000fcd2-0000-1000-8000-00805f9b34fb"
_ENCRYPTED: Final = 0x01
_SHORTEST: Final = 1 + 4 + 4  # device information, counter, message integrity check
_REPEATS_S: Final = 5.0  # longer than any button repeats a packet
_REFUSE_EVERY_S: Final = 10.0  # whoever floods the air must not flood the disk


class HelpButton(Heard):
    """One button of the home. Any press, however long, is a call for help."""

    kind: ClassVar[str] = "help_button"
    title: ClassVar[Title] = Title("Help button", "呼救按钮")
    needs_key: ClassVar[bool] = True

    @classmethod
    def recognises(cls, advertisement: AdvertisementData) -> bool:
        """Whether it broadcasts encrypted BTHome v2."""
        data = advertisement.service_data.get(SERVICE_DATA, b"")
        return len(data) >= _SHORTEST and bool(data[0] & _ENCRYPTED)

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._bindkey = bytes.fromhex(device.bindkey) if device.bindkey else None
        # A button with a new battery may count from the start: it is registered anew, with a new key and so a new memory.
        mark = hashlib.sha256(self._bindkey or b"").hexdigest()[:16]
        self._memory = f"button {device.address} {mark}"
        self._counter = int(desk.recall(self._memory) or -1)
        self._last = (b"", 0.0)  # the packet dealt with last, and when it was first heard
        self._refused_at = -_REFUSE_EVERY_S

    def heard(self, advertisement: AdvertisementData) -> None:
        """Take one broadcast."""
        data = advertisement.service_data.get(SERVICE_DATA)
        if data is None or self._is_repetition(data):
            return
        if self._bindkey is None:
            self.desk.trouble(self.address, "the button has no key: register it again with the key from its app")
            return
        if len(data) < _SHORTEST or not data[0] & _ENCRYPTED:
            self._refuse(data, "truncated" if len(data) < _SHORTEST else "not_encrypted")
            return
        counter = int.from_bytes(data[-8:-4], "little")
        if counter <= self._counter:
            self._refuse(data, "replayed")
            return
        parser = BTHomeBluetoothDeviceData(self._bindkey)
        update = parser.update(_service_info(self.address, advertisement))
        if not parser.bindkey_verified:
            self._refuse(data, "wrong_key")
            return
        self._keep(update, counter, data)

    def _is_repetition(self, data: bytes) -> bool:
        """A button says the same for some seconds; what says it later is no button."""
        last, first_heard = self._last
        return data == last and time.monotonic() - first_heard < _REPEATS_S

    def _keep(self, update: SensorUpdate, counter: int, advertised: bytes) -> None:
        now = self.desk.now()
        found = [
            Reading(self.address, "help_call", 1.0, now, now, Quality.NO_DEVICE_TIME)
            for key in update.events
            if key.key.startswith("button")
        ]
        for key, value in update.entity_values.items():
            if key.key == "battery" and isinstance(value.native_value, int | float):
                percent = float(value.native_value)
                self.desk.of(self.address).battery_pct = percent
                found.append(Reading(self.address, "battery", percent, now, now, Quality.NO_DEVICE_TIME))
        try:
            self.desk.keep(found, facts={self._memory: str(counter)})
        except OutboxFull as error:
            self.desk.trouble(self.address, f"a call for help could not be kept: {error}")
            raise
        self._counter = counter
        self._last = advertised, time.monotonic()

    def _refuse(self, data: bytes, reason: str) -> None:
        self._last = data, time.monotonic()
        if time.monotonic() - self._refused_at >= _REFUSE_EVERY_S:
            self._refused_at = time.monotonic()
            self.desk.refuse(self.address, SERVICE_DATA, data, reason)


def _service_info(address: str, advertisement: AdvertisementData) -> BluetoothServiceInfoBleak:
    name = advertisement.local_name or address
    return BluetoothServiceInfoBleak(
        name,
        address,
        advertisement.rssi,
        advertisement.manufacturer_data,
        advertisement.service_data,
        advertisement.service_uuids,
        source="gateway",
        device=BLEDevice(address, name, {}),
        advertisement=advertisement,
        connectable=False,
        time=time.monotonic(),
        tx_power=advertisement.tx_power,
    )
