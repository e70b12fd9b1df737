"""The machine's own adapter, through bluetoothd's D-Bus interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

from bleak.exc import BleakError
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from devices.agent import AGENT_PATH, Agent

log = logging.getLogger(__name__)

_BLUEZ: Final = "org.bluez"
_ADAPTER: Final = "org.bluez.Adapter1"
_MANAGER: Final = "org.bluez.AgentManager1"
_CALL_S: Final = 10.0
_OFF_S: Final = 1.0  # how long an adapter stays without power: less, and some controllers keep their state


class BlueZRadio:
    """The machine's own adapter, through bluetoothd's D-Bus interface. ``bus_address`` None is the system bus."""

    def __init__(self, adapter: str = "hci0", *, bus_address: str | None = None, off_s: float = _OFF_S) -> None:
        self.scanner_options: Mapping[str, Any] = {"bluez": {"adapter": adapter}}
        self.client_options: Mapping[str, Any] = {"bluez": {"adapter": adapter}}
        self.lost = asyncio.Event()
        self.lost.set()
        self._adapter = adapter
        self._path = f"/org/bluez/{adapter}"
        self._bus_address = bus_address
        self._off_s = off_s
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

    async def forget(self, address: str) -> None:
        """Remove the device from BlueZ, and its bond with it."""
        device = f"{self._path}/dev_{address.upper().replace(':', '_')}"
        try:
            await self._call(self._path, _ADAPTER, "RemoveDevice", "o", [device])
        except BleakError as error:
            if "DoesNotExist" not in str(error):
                raise

    async def close(self) -> None:
        """Leave the bus; bluetoothd forgets the agent with it."""
        self.lost.set()
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()

    async def _open(self) -> None:
        await self.close()
        bus = MessageBus(bus_address=self._bus_address, bus_type=BusType.SYSTEM)
        async with asyncio.timeout(_CALL_S):
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
    ) -> None:
        if self._bus is None:
            raise BleakError("not connected to bluetoothd")
        call = Message(to, path, interface, member, signature=signature, body=body)
        try:
            async with asyncio.timeout(_CALL_S):
                reply = await self._bus.call(call)
        except (EOFError, OSError) as error:
            self.lost.set()
            raise BleakError(f"the connection to bluetoothd ended: {error}") from error
        if reply is None or reply.message_type is MessageType.ERROR:
            raise BleakError(self._in_words(member, reply))

    def _in_words(self, member: str, reply: Message | None) -> str:
        name = reply.error_name if reply else "no answer"
        said = ": ".join(str(part) for part in (name, *(reply.body if reply else [])))
        if name in ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"):
            return f"bluetoothd is not running on this machine ({said})"
        if name in ("org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod"):
            return f"this machine has no Bluetooth adapter {self._adapter} ({said})"
        return f"bluetoothd refused {member} ({said})"
