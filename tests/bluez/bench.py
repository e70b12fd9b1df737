"""Inside the guest: the real kernel's controllers, the real bluetoothd, and the gateway's own code between them.

btvirt gives the kernel controllers that hear each other. The first is the gateway's, through bluetoothd; behind each
of the others lives a virtual cuff, which takes it from the kernel by the user channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from bumble.core import BaseBumbleError
from bumble.device import Connection, Device
from bumble.hci import HCI_Error
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import Transport
from dbus_fast import BusType, Message, Variant
from dbus_fast.aio import MessageBus

from devices.bluez import BlueZRadio
from devices.collector import Collector, Configured, Patience
from devices.desk import Desk
from devices.outbox import Outbox
from devices.virtual.radio import Air
from devices.virtual.twin import Plate
from devices.virtual.twins.cuff import Cuff

ADAPTER: Final = "hci0"
CUFF: Final = "C0:FF:EE:00:00:01"
OTHER: Final = "C0:FF:EE:00:00:02"
_DAEMON: Final = "/usr/libexec/bluetooth/bluetoothd"

QUICK: Final = Patience(connect=8, between=0.3, backoff=0.5, backoff_most=2, silence=6, silence_most=6)


class Sockets(Air):
    """The air of btvirt: each new device gets the next of the controllers."""

    def __init__(self, controllers: list[Transport]) -> None:
        super().__init__()
        self._controllers = iter(controllers)

    def host(self, name: str, address: str) -> Host:
        controller = next(self._controllers)
        return Host(controller.source, controller.sink)


class RealCuff(Cuff):
    """A virtual cuff that counts its connections and pairings, and may fall dumb: it connects and answers nothing."""

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate)
        self.visits = 0
        self.pairings = 0
        self.answers_left: int | None = None
        self.hangs_up = False
        self._answer = self.device.gatt_server.on_gatt_pdu
        self.device.gatt_server.on_gatt_pdu = self._on_request
        self._stop_advertising = self.device.stop_advertising
        self.device.stop_advertising = self._surely_stop_advertising
        self.device.on(Device.EVENT_CONNECTION, self._count)

    def _count(self, connection: Connection) -> None:
        self.visits += 1
        connection.on(Connection.EVENT_PAIRING, self._count_pairing)

    def _count_pairing(self, *_keys: object) -> None:
        self.pairings += 1

    def _on_request(self, connection: Connection, request: Any) -> None:
        if self.answers_left == 0:
            if self.hangs_up:
                self.spawn(self._hang_up(connection))
            return
        if self.answers_left is not None:
            self.answers_left -= 1
        self._answer(connection, request)

    async def _surely_stop_advertising(self) -> None:
        # bumble believes in a set that a connection ended before bumble heard that it had begun.
        try:
            await self._stop_advertising()
        except HCI_Error:
            ended = self.device.legacy_advertising_set
            if ended is None:
                raise
            ended.enabled = False
            await self._stop_advertising()

    async def repeat(self) -> None:
        """Advertise on: btvirt tells of an advertisement when it begins, and not again."""
        while True:
            await asyncio.sleep(0.7)
            with contextlib.suppress(BaseBumbleError):  # the gateway connected in between
                if self.memory and not self.connections:
                    await self.call()


class Bluetoothd:
    """The real daemon, and what it knows."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._bus: MessageBus | None = None
        self.log = Path("/var/log/bluetoothd")

    async def start(self, *options: str) -> None:
        """Start it and wait until it has the gateway's adapter."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([_DAEMON, "--nodetach", *options], stdout=log, stderr=log)
        if self._bus is None:
            self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        await until(self._has_adapter)

    async def _has_adapter(self) -> bool:
        return f"/org/bluez/{ADAPTER}" in await self._objects()

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def device(self, address: str) -> dict[str, Any]:
        """What it knows of a device; nothing when it does not know it."""
        found = (await self._objects()).get(f"/org/bluez/{ADAPTER}/dev_{address.replace(':', '_')}", {})
        return {name: value.value for name, value in found.get("org.bluez.Device1", {}).items()}

    async def subscribe(self, address: str, uuid: str) -> str:
        """Subscribe as any program on this machine may; the answer is the refusal, or nothing."""
        path = f"/org/bluez/{ADAPTER}/dev_{address.replace(':', '_')}"
        await self._call(path, "org.bluez.Device1", "Connect")

        async def characteristic() -> str | None:
            for at, interfaces in (await self._objects()).items():
                found = interfaces.get("org.bluez.GattCharacteristic1")
                if at.startswith(path) and found and found["UUID"].value == uuid:
                    return at
            return None

        try:
            async with asyncio.timeout(8):
                reply = await self._call(await until(characteristic), "org.bluez.GattCharacteristic1", "StartNotify")
            return f"{reply.error_name}: {reply.body}" if reply and reply.error_name else ""
        except TimeoutError:
            return "no answer"  # BlueZ gives none to who asked when its agent has refused
        finally:
            await self._call(path, "org.bluez.Device1", "Disconnect")

    async def power(self, on: bool) -> None:
        """Switch the adapter, as anybody on the machine may."""
        await self._call(
            f"/org/bluez/{ADAPTER}",
            "org.freedesktop.DBus.Properties",
            "Set",
            "ssv",
            ["org.bluez.Adapter1", "Powered", Variant("b", on)],
        )

    async def powered(self) -> bool:
        """Whether the adapter has power."""
        adapter = (await self._objects()).get(f"/org/bluez/{ADAPTER}", {}).get("org.bluez.Adapter1", {})
        return bool(adapter and adapter["Powered"].value)

    async def _objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        reply = await self._call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        body = reply.body if reply else []
        return body[0] if body and isinstance(body[0], dict) else {}

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", body: Any = ()
    ) -> Message | None:
        assert self._bus is not None
        return await self._bus.call(Message("org.bluez", path, interface, member, signature=signature, body=list(body)))


class Gateway:
    """The collector over the real adapter, with an outbox of its own."""

    def __init__(self, folder: Path, *addresses: str, patience: Patience = QUICK) -> None:
        self.outbox = Outbox(folder / "outbox.sqlite")
        self.desk = Desk(self.outbox, zone=UTC)
        self.radio = BlueZRadio(ADAPTER, off_s=0.2)
        devices = [Configured(address, "blood_pressure") for address in addresses]
        self.collector = Collector(self.desk, self.radio, devices=devices, patience=patience)

    def values(self, device: str, metric: str) -> list[float]:
        """What the outbox holds, in the order it was collected."""
        batch = self.outbox.batch(10_000)
        return [r.value for _, r in batch if (r.device, r.metric) == (device, metric)]

    def times(self, device: str) -> list[str]:
        """When the pressures in the outbox were measured: UTC, as the cuffs show it."""
        found = [r.measured_at for _, r in self.outbox.batch(10_000) if (r.device, r.metric) == (device, "systolic")]
        return [at.replace(tzinfo=None).isoformat() for at in found]

    def trouble(self, device: str) -> str:
        """What the desk says is wrong with a device."""
        return self.desk.of(device).trouble or ""

    async def ready(self) -> None:
        """The gateway listens."""
        await until(lambda: self.collector.scanning != "off")


class Bench:
    """All of it. ``cuff`` and ``other`` are the two virtual cuffs."""

    cuff: RealCuff
    other: RealCuff

    def __init__(self) -> None:
        self.bluetoothd = Bluetoothd()
        self._btvirt: subprocess.Popen[bytes] | None = None
        self._controllers: list[Transport] = []
        self._repeating: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Controllers first, the cuffs behind theirs, then bluetoothd, which takes what is left."""
        await self.plug_in()
        await self.bluetoothd.start()

    async def plug_in(self) -> None:
        """Let the kernel find the controllers, and switch the cuffs on. They know of no bond."""
        self._btvirt = subprocess.Popen(["btvirt", "-l3"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await until(lambda: Path("/sys/class/bluetooth/hci2").exists())
        self._controllers = [await self._take(index) for index in (1, 2)]
        air = Sockets(self._controllers)
        self.cuff = RealCuff(air, Plate(address=CUFF, kind="blood_pressure", name="BPM One", time_zone="UTC"))
        self.other = RealCuff(air, Plate(address=OTHER, kind="blood_pressure", name="BPM Two", time_zone="UTC"))
        for cuff in (self.cuff, self.other):
            await cuff.start()
            self._repeating.append(asyncio.create_task(cuff.repeat()))

    async def _take(self, index: int) -> Transport:
        async def taken() -> Transport | None:
            subprocess.run(["hciconfig", f"hci{index}", "down"], check=False)
            with contextlib.suppress(OSError):
                return await open_transport(f"hci-socket:{index}")
            return None

        return await until(taken)

    async def pull_out(self) -> None:
        """Take every controller away, as when a stick is pulled out."""
        for task in self._repeating:
            task.cancel()
        await asyncio.gather(*self._repeating, return_exceptions=True)
        self._repeating.clear()
        assert self._btvirt is not None
        self._btvirt.kill()
        self._btvirt.wait()
        for controller in self._controllers:
            await controller.close()

    @contextlib.asynccontextmanager
    async def gateway(self, *addresses: str, patience: Patience = QUICK) -> AsyncIterator[Gateway]:
        """A gateway for these devices, running; when it ends its scanner and its agent are gone."""
        with tempfile.TemporaryDirectory() as folder:
            gateway = Gateway(Path(folder), *addresses, patience=patience)
            running = asyncio.create_task(gateway.collector.run())
            try:
                await gateway.ready()
                yield gateway
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await gateway.radio.close()
                gateway.outbox.close()


async def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until something is so, and return what it is; ``TimeoutError`` names what did not become so."""
    give_up = time.monotonic() + seconds
    while True:
        found = what()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > give_up:
            raise TimeoutError(f"not so within {seconds} s: line {what.__code__.co_firstlineno}")
        await asyncio.sleep(0.05)
