"""The machine's own adapter, through bluetoothd's D-Bus interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

from bleak.args.bluez import OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.exc import BleakError
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from devices.agent import AGENT_PATH, Agent

log = logging.getLogger(__name__)

_BLUEZ: Final = "org.bluez"
_ADAPTER: Final = "org.bluez.Adapter1"
_DEVICE: Final = "org.bluez.Device1"
_MANAGER: Final = "org.bluez.AgentManager1"
_CALL_S: Final = 10.0
_MONITORS: Final = "org.bluez.AdvertisementMonitorManager1"
# A passive scan hears only what one of its patterns fits, and BlueZ takes 16 at most: the flags that devices begin an
# advertisement with (habluetooth/scanner_bleak.py lists those met in the wild), and BTHome's data for what sends none.
_PATTERNS: Final = [
    *(OrPattern(0, AdvertisementDataType.FLAGS, bytes([flags])) for flags in (0x02, 0x04, 0x05, 0x06, 0x18, 0x1A)),
    OrPattern(0, AdvertisementDataType.SERVICE_DATA_UUID16, b"\xd2\xfc"),
]
_OFF_S: Final = 1.0  # how long an adapter stays without power: less, and some controllers keep their state


class BlueZRadio:
    """The machine's own adapter, through bluetoothd's D-Bus interface. ``bus_address`` None is the system bus."""

    def __init__(
        self, adapter: str = "hci0", *, bus_address: str | None = None, off_s: float = _OFF_S, call_s: float = _CALL_S
    ) -> None:
        self.name = adapter
        self.scanner_options: Mapping[str, Any] = {"bluez": {"adapter": adapter}}
        self.passive_options: Mapping[str, Any] | None = None
        self.client_options: Mapping[str, Any] = {"bluez": {"adapter": adapter}}
        self.lost = asyncio.Event()
        self.lost.set()
        self._adapter = adapter
        self._path = f"/org/bluez/{adapter}"
        self._bus_address = bus_address
        self._off_s = off_s
        self._call_s = call_s
        self._bus: MessageBus | None = None
        self._agent = Agent()

    def expect(self, addresses: Collection[str]) -> None:
        """Only these devices may pair."""
        self._agent.expected = {a.upper() for a in addresses}

    async def reset(self) -> None:
        """Connect to bluetoothd, register the pairing agent, and switch the adapter off and on."""
        if self.lost.is_set():
            await self._open()
        log.info("power-cycling the Bluetooth adapter %s", self._adapter)
        await self._power(False)
        await asyncio.sleep(self._off_s)
        await self._power(True)
        self.passive_options = await self._passive()

    async def is_bonded(self, address: str) -> bool:
        """Whether BlueZ holds a device for paired; one that it does not know is not."""
        try:
            [paired] = await self._call(
                self._device(address), "org.freedesktop.DBus.Properties", "Get", "ss", [_DEVICE, "Paired"]
            )
        except BleakError:
            return False
        return bool(paired.value)

    async def forget(self, address: str) -> None:
        """Remove the device from BlueZ, and its bond with it."""
        try:
            await self._call(self._path, _ADAPTER, "RemoveDevice", "o", [self._device(address)])
        except BleakError as error:
            if "DoesNotExist" not in str(error):
                raise

    def _device(self, address: str) -> str:
        return f"{self._path}/dev_{address.upper().replace(':', '_')}"

    async def close(self) -> None:
        """Leave the bus; bluetoothd forgets the agent with it."""
        self.lost.set()
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()

    async def _open(self) -> None:
        await self.close()
        bus = MessageBus(bus_address=self._bus_address, bus_type=BusType.SYSTEM)
        async with asyncio.timeout(self._call_s):
            await bus.connect()
        self._bus = bus
        bus.export(AGENT_PATH, self._agent)
        bus.add_message_handler(self._on_message)
        await self._call("/org/bluez", _MANAGER, "RegisterAgent", "os", [AGENT_PATH, "NoInputNoOutput"])
        await self._call("/org/bluez", _MANAGER, "RequestDefaultAgent", "o", [AGENT_PATH])
        await self._watch_bluetoothd()
        self.lost.clear()

    async def _watch_bluetoothd(self) -> None:
        rule = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_BLUEZ}'"
        await self._call(
            "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", [rule], to="org.freedesktop.DBus"
        )

    def _on_message(self, message: Message) -> None:
        # bluetoothd ended or began anew: the agent is no longer registered, whatever was open is gone.
        if message.member == "NameOwnerChanged" and message.body[:1] == [_BLUEZ]:
            self.lost.set()

    async def _passive(self) -> Mapping[str, Any] | None:
        """The options of a passive scan where bluetoothd offers advertisement monitors (an experimental interface)."""
        try:
            [kinds] = await self._call(
                self._path, "org.freedesktop.DBus.Properties", "Get", "ss", [_MONITORS, "SupportedMonitorTypes"]
            )
        except BleakError as error:
            log.info("%s cannot listen passively: %s", self._adapter, error)
            return None
        if "or_patterns" not in kinds.value:
            return None
        return {"scanning_mode": "passive", "bluez": {"adapter": self._adapter, "or_patterns": _PATTERNS}}

    async def _power(self, on: bool) -> None:
        await self._call(
            self._path,
            "org.freedesktop.DBus.Properties",
            "Set",
            "ssv",
            [_ADAPTER, "Powered", Variant("b", on)],
        )

    async def _call(
        self, path: str, interface: str, member: str, signature: str, body: list[Any], *, to: str = _BLUEZ
    ) -> list[Any]:
        if self._bus is None:
            raise BleakError("not connected to bluetoothd")
        call = Message(to, path, interface, member, signature=signature, body=body)
        try:
            async with asyncio.timeout(self._call_s):
                reply = await self._bus.call(call)
        except TimeoutError as error:
            self.lost.set()  # begin anew with another connection
            raise TimeoutError(f"bluetoothd did not answer {member} within {self._call_s:g} seconds") from error
        except (EOFError, OSError) as error:
            self.lost.set()
            raise BleakError(f"the connection to bluetoothd ended: {error}") from error
        if reply is None or reply.message_type is MessageType.ERROR:
            raise BleakError(self._in_words(member, reply))
        return list(reply.body)

    def _in_words(self, member: str, reply: Message | None) -> str:
        name = reply.error_name if reply else "no answer"
        said = ": ".join(str(part) for part in (name, *(reply.body if reply else [])))
        if name in ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"):
            return f"bluetoothd is not running on this machine ({said})"
        if name in ("org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod"):
            return f"this machine has no Bluetooth adapter {self._adapter} ({said})"
        return f"bluetoothd refused {member} ({said})"
