"""bleak's backend over a virtual radio: the gateway's own code, with bumble where BlueZ would be.

:func:`open_radio` connects to a street's radio; its ``scanner_options`` and ``client_options`` are the keyword
arguments that make ``BleakScanner`` and ``BleakClient`` use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, ClassVar, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError, BleakGATTProtocolError
from bumble import att, core, hci
from bumble.device import Connection, Device, Peer
from bumble.host import Host
from bumble.keys import MemoryKeyStore
from bumble.transport import open_transport
from bumble.transport.common import Transport, TransportLostError

from devices.limits import heed
from devices.virtual.advertising import advertisement_data, long_uuid
from devices.virtual.radio import new_adapter

_T = TypeVar("_T")
_MTU = 247  # what fills one packet under the data length extension
_REFUSALS = (hci.HCI_Error, core.BaseBumbleError, TransportLostError)


class VirtualRadio:
    """A gateway's adapter in the virtual air (a :class:`devices.radio.Radio`). ``lost`` is set while the street is away.

    Every such adapter has its own address, so that several gateways can share the air. Its bonds last as long as it.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self.name = spec
        self._address = "F0:" + ":".join(f"{byte:02X}" for byte in secrets.token_bytes(5))
        self._expected: set[str] = set()
        self._transport: Transport | None = None
        self._device: Device | None = None
        self._bonds = MemoryKeyStore()
        self.lost = asyncio.Event()
        self.lost.set()
        self.connecting = asyncio.Lock()
        self.scanners: set[BumbleScanner] = set()
        self.clients: set[BumbleClient] = set()
        self.scanner_options: Mapping[str, Any] = {"backend": type("Scanner", (BumbleScanner,), {"radio": self})}
        self.passive_options: Mapping[str, Any] | None = {**self.scanner_options, "scanning_mode": "passive"}
        self.client_options: Mapping[str, Any] = {"backend": type("Client", (BumbleClient,), {"radio": self})}

    @property
    def device(self) -> Device:
        """The Bluetooth stack; :class:`BleakError` when the radio is not open."""
        if self._device is None or self.lost.is_set():
            raise BleakError("the virtual radio is not open")
        return self._device

    async def open(self) -> None:
        """Connect to the street. ``OSError`` when nobody is there, ``TimeoutError`` when nobody answers."""
        async with asyncio.timeout(10):
            transport = await open_transport(self._spec)
            self._transport = transport
            device = new_adapter(Host(transport.source, transport.sink), self._address)
            await device.power_on()
        device.keystore = self._bonds
        device.on(Device.EVENT_ADVERTISEMENT, self._heard)
        self._device = device
        self.lost.clear()
        transport.source.terminated.add_done_callback(self._on_lost)

    async def close(self) -> None:
        """Leave the air; connections end."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self._on_lost(None)
            await transport.close()

    async def reset(self) -> None:
        """What power-cycling is to an adapter: leave the air and come back."""
        await self.close()
        await self.open()

    async def scan(self, scanner: BumbleScanner, on: bool) -> None:
        """Start or stop listening for one scanner; the radio listens while any of them does."""
        if on:
            self.scanners.add(scanner)
            if not self.device.scanning:
                await self.device.start_scanning(active=scanner.active, filter_duplicates=False)
            return
        self.scanners.discard(scanner)
        if not self.scanners and not self.lost.is_set() and self.device.scanning:
            await self.device.stop_scanning()

    async def forget(self, address: str) -> None:
        """Forget the bond with a device, if there is one."""
        with contextlib.suppress(KeyError):
            await self._bonds.delete(_bond_name(address))

    def expect(self, addresses: Collection[str]) -> None:
        """Only these devices may pair."""
        self._expected = {a.upper() for a in addresses}

    def may_pair(self, address: str) -> bool:
        """Whether the device belongs to this home."""
        return address.upper() in self._expected

    async def is_bonded(self, address: str) -> bool:
        """Whether there is a bond with the device."""
        return await self._bonds.get(_bond_name(address)) is not None

    def _heard(self, advertisement: Any) -> None:
        for scanner in list(self.scanners):
            scanner.heard(advertisement)

    def _on_lost(self, _future: object) -> None:
        self.lost.set()
        self.scanners.clear()
        for client in list(self.clients):
            client.on_disconnected(0)


def _bond_name(address: str) -> str:
    return str(hci.Address(address))


async def open_radio(spec: str) -> VirtualRadio:
    """Connect to the radio at ``spec``, as in ``unix:/path``. ``OSError`` when nobody is there."""
    radio = VirtualRadio(spec)
    try:
        await radio.open()
    except BaseException:
        await radio.close()
        raise
    return radio


class BumbleScanner(BaseBleakScanner):
    """bleak's scanner over the virtual radio."""

    radio: ClassVar[VirtualRadio]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,
        **_ignored: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self.active = scanning_mode == "active"

    async def start(self) -> None:
        """Listen until :meth:`stop`."""
        self.seen_devices = {}
        try:
            await self.radio.scan(self, True)
        except _REFUSALS as error:
            raise BleakError(f"scanning failed: {error}") from error

    async def stop(self) -> None:
        """Listen no more."""
        with contextlib.suppress(*_REFUSALS):
            await self.radio.scan(self, False)

    def heard(self, advertisement: Any) -> None:
        """Take one report from the radio."""
        address = advertisement.address.to_string(False)
        _, before = self.seen_devices.get(address, (None, None))
        data: AdvertisementData = advertisement_data(advertisement, before)
        if not self.is_allowed_uuid(data.service_uuids):
            return
        device = self.create_or_update_device(
            address, address, data.local_name, {"address": advertisement.address}, data
        )
        self.call_detection_callbacks(device, data)


class BumbleClient(BaseBleakClient):
    """bleak's client over the virtual radio."""

    radio: ClassVar[VirtualRadio]

    def __init__(self, address_or_ble_device: BLEDevice | str, **options: Any) -> None:
        options.pop("services", None)
        super().__init__(address_or_ble_device, **options)
        self._name = getattr(address_or_ble_device, "name", None)
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._ended: asyncio.Future[None] | None = None
        self._subscribed: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        """The advertised name, or the address."""
        return self._name or self.address

    @property
    def mtu_size(self) -> int:
        """Bytes of one ATT packet."""
        return int(self._connection.att_mtu) if self._connection else 23

    @property
    def is_connected(self) -> bool:
        """Whether the link stands and the services are known."""
        return self._connection is not None and self.services is not None

    async def connect(self, pair: bool, **options: Any) -> None:
        """Connect, encrypt if bonded, learn the services.

        ``TimeoutError`` when the device does not answer, ``BleakError`` when it refuses or lost its bond.
        """
        if self._connection is not None:
            raise BleakError("the client is connected already")
        timeout = float(options.get("timeout", self._timeout))
        try:
            self._connection = await self._create_connection(timeout)
        except core.TimeoutError as error:
            raise TimeoutError(f"{self.address} does not answer") from error
        except _REFUSALS as error:
            raise BleakError(f"connecting to {self.address} failed: {error}") from error
        if self.radio.device.lookup_connection(self._connection.handle) is not self._connection:
            self._connection = None
            raise BleakError(f"{self.address} disconnected at once")
        self.radio.clients.add(self)
        self._ended = asyncio.get_running_loop().create_future()
        self._connection.on(Connection.EVENT_DISCONNECTION, self.on_disconnected)
        try:
            async with asyncio.timeout(timeout):
                await self._settle(pair)
        except BaseException as error:
            await self._give_up()
            if isinstance(error, _REFUSALS):
                raise BleakError(f"connecting to {self.address} failed: {error}") from error
            raise

    async def _create_connection(self, timeout: float) -> Connection:
        async with self.radio.connecting:  # a controller makes one connection at a time
            device = self.radio.device
            address = hci.Address(self.address)
            attempt = asyncio.ensure_future(device.connect_le(address, timeout=timeout))
            try:
                return await asyncio.shield(attempt)
            except asyncio.CancelledError:
                if self.radio.lost.is_set():
                    attempt.cancel()  # there is no controller to be freed
                    raise
                # The caller gave up: free the controller before going.
                with contextlib.suppress(*_REFUSALS):
                    await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                await asyncio.wait([attempt], timeout=1)
                if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
                    await attempt.result().disconnect()
                raise

    async def _settle(self, pair: bool) -> None:
        connection = self._connection_or_fail()
        self._peer = Peer(connection)
        await self._live(self._peer.request_mtu(_MTU))
        if await self.radio.is_bonded(self.address):
            await self._live(connection.encrypt())
        elif pair:
            await self.pair()
        self.services = await self._live(_discover(self._peer, lambda: self.mtu_size - 3))

    async def _give_up(self) -> None:
        with contextlib.suppress(*_REFUSALS, TimeoutError):
            async with asyncio.timeout(1):
                await self.disconnect()
        self._forget_connection()

    def on_disconnected(self, _reason: int) -> None:
        """The link ended, from either side."""
        was_up = self.is_connected
        self._forget_connection()
        if was_up and self._disconnected_callback:
            self._disconnected_callback()

    def _forget_connection(self) -> None:
        self._connection = self._peer = self.services = None
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.set_result(None)
        self._subscribed.clear()
        self.radio.clients.discard(self)

    async def disconnect(self) -> None:
        """End the link; nothing happens when there is none."""
        if self._connection is not None and not self.radio.lost.is_set():
            with contextlib.suppress(*_REFUSALS):
                await self._connection.disconnect()

    async def pair(self, *_args: Any, **_options: Any) -> None:
        """Pair by "just works" and keep the bond."""
        if await self.radio.is_bonded(self.address):
            return
        if not self.radio.may_pair(self.address):
            raise BleakError(f"pairing with {self.address} failed: Rejected, it does not belong to this home")
        try:
            await self._live(self._connection_or_fail().pair())
        except _REFUSALS as error:
            raise BleakError(f"pairing with {self.address} failed: {error}") from error

    async def unpair(self) -> None:
        """Forget the bond and end the link."""
        await self.radio.forget(self.address)
        await self.disconnect()

    def _connection_or_fail(self) -> Connection:
        if self._connection is None:
            raise BleakError(f"{self.address} is not connected")
        return self._connection

    async def _live(self, operation: Coroutine[Any, Any, _T]) -> _T:
        """Await an operation of the link; a link that ends meanwhile is an error, not a wait.

        bumble's own ``cancel_on_disconnection`` cancels once, which a ``wait_for`` that has its answer at the same
        moment swallows; so the operation is left to itself here.
        """
        task = asyncio.ensure_future(operation)
        task.add_done_callback(heed)
        if self._ended is None:
            task.cancel()
            raise BleakError(f"{self.address} is not connected")
        either: list[asyncio.Future[Any]] = [task, self._ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done() or task.cancelled():
            task.cancel()
            raise BleakError(f"{self.address} disconnected")
        try:
            return task.result()
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_options: Any
    ) -> bytearray:
        """Read a value from the device."""
        return bytearray(await self._live(characteristic.obj.read_value()))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_options: Any
    ) -> bytearray:
        """Read a descriptor from the device."""
        return bytearray(await self._live(descriptor.obj.read_value()))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        """Write a value to the device."""
        await self._live(characteristic.obj.write_value(bytes(data), with_response=response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor of the device."""
        await self._live(descriptor.obj.write_value(bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_options: Any
    ) -> None:
        """Subscribe. The callback runs before an indication is confirmed; if it raises, it is not confirmed."""
        if characteristic.handle in self._subscribed:
            raise BleakError("notifications are started already")

        def deliver(value: bytes) -> None:
            callback(bytearray(value))

        self._connection_or_fail()
        self._subscribed[characteristic.handle] = deliver
        assert self._peer is not None
        try:
            await self._live(self._peer.gatt_client.subscribe(characteristic.obj, deliver))
        except BaseException:
            self._unsubscribe(characteristic.handle)
            raise

    def _unsubscribe(self, handle: int) -> None:
        # bumble keeps the subscriber of a subscription that was refused.
        deliver = self._subscribed.pop(handle, None)
        if self._peer is not None:
            client = self._peer.gatt_client
            for subscribers in (client.notification_subscribers, client.indication_subscribers):
                subscribers.get(handle, set()).discard(deliver)

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe."""
        deliver = self._subscribed.pop(characteristic.handle, None)
        if deliver is not None:
            assert self._peer is not None
            await self._live(self._peer.gatt_client.unsubscribe(characteristic.obj, deliver))


async def _discover(peer: Peer, largest_write: Callable[[], int]) -> BleakGATTServiceCollection:
    services = BleakGATTServiceCollection()
    for found in await peer.discover_services():
        service = BleakGATTService(found, found.handle, long_uuid(found.uuid))
        services.add_service(service)
        for offered in await peer.discover_characteristics(service=found):
            properties = list(gatt_char_props_to_strs(int(offered.properties)))
            characteristic = BleakGATTCharacteristic(
                offered, offered.handle, long_uuid(offered.uuid), properties, largest_write, service
            )
            services.add_characteristic(characteristic)
            for extra in await peer.discover_descriptors(offered):
                descriptor = BleakGATTDescriptor(extra, extra.handle, long_uuid(extra.type), characteristic)
                services.add_descriptor(descriptor)
    return services
