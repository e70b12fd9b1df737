"""The virtual air: bumble's link and controller, with what they lack for a street of homes.

bumble 0.0.236 (pinned: these are its internals) falls short of a real radio in five places, mended here:
the sender of a data packet is always named by its random address, whatever address the connection was made
with; a cancelled connection attempt stays pending and blocks every later one; each advertisement is reported
twice, the second time as a scan response it is not; every device is heard equally loud; and a radio that
disappears leaves its connections open for ever. And the air itself can be bad: it loses advertisements, and data
packets come late, as many times an interval as they had to be repeated.
"""

from __future__ import annotations

import asyncio
import random

from bumble import core, hci, ll
from bumble.controller import Connection, Controller
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink, TransportSink, TransportSource

_NEAR_DBM = -50
_INTERVAL_S = 0.03  # between two attempts to send a data packet: a usual connection interval


class Air(LocalLink):
    """One space of radio waves. ``rssi`` is how loud a device is heard (dBm), ``loss`` the share of it that is lost."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rssi: dict[str, int] = {}
        self.loss: dict[str, float] = {}
        self._arrived: dict[tuple[str, str], float] = {}
        self._away: set[str] = set()
        self._found: dict[hci.Address, Controller] = {}

    def host(self, name: str, address: str) -> Host:
        """The host's end of a new controller in this air."""
        controller = VirtualController(name, self, address)
        return Host(controller, AsyncPipeSink(controller))

    def leave(self, address: str) -> None:
        """Carry a device out of range: it is heard no more, and its connections time out at both ends."""
        self._away.add(address)
        controller = self.find_le_controller(hci.Address(address))
        if controller is not None:
            self.drop(controller)

    def come_back(self, address: str) -> None:
        """Bring a device back into range."""
        self._away.discard(address)

    def drop(self, controller: Controller) -> None:
        """End every connection of a radio that is gone, at both ends, as the supervision timeout does."""
        for connection in list(controller.le_connections.values()):
            other = self.find_le_controller(connection.peer_address)
            _time_out(controller, connection)
            far_end = other and other.le_connections.get(connection.self_address)
            if other is not None and far_end:
                _time_out(other, far_end)

    def remove_controller(self, controller: Controller) -> None:
        """Take a radio out of the air."""
        self.drop(controller)
        super().remove_controller(controller)
        self._found = {a: c for a, c in self._found.items() if c is not controller}

    def find_le_controller(self, address: hci.Address) -> Controller | None:
        """The radio with this address now; remembered, because every packet asks."""
        found = self._found.get(address)
        if found is None or address not in (found.random_address, found.public_address):
            found = super().find_le_controller(address)
            if found is not None:
                self._found[address] = found
        return found

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """Carry a data packet, signed with the address its connection was made with."""
        connection = sender_controller.le_connections.get(destination_address)
        other = self.find_le_controller(destination_address)
        if connection is not None and other is not None:
            loop = asyncio.get_running_loop()
            at = self._arrival(connection.self_address, destination_address, loop.time())
            if at is None:
                loop.call_soon(_deliver, other, connection.self_address, transport, data)
            else:
                loop.call_at(at, _deliver, other, connection.self_address, transport, data)

    def _arrival(self, sender: hci.Address, receiver: hci.Address, now: float) -> float | None:
        """When a data packet gets through a bad air, after those sent before it; None: at once, the air is good."""
        ends = sender.to_string(False), receiver.to_string(False)
        loss = max(self.loss.get(end, 0.0) for end in ends)
        if not loss and ends not in self._arrived:
            return None
        at = now
        while random.random() < loss:
            at += _INTERVAL_S
        at = max(at, self._arrived.get(ends, 0.0) + 1e-6)  # a later moment each: equal ones have no order
        self._arrived[ends] = at
        return at

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Let those hear an advertisement who listen, and only the one addressed a connection request."""
        assert isinstance(packet, ll.AdvInd | ll.AdvExtInd | ll.ConnectInd)
        advertiser = packet.advertiser_address.to_string(False)
        if advertiser in self._away:
            return
        loop = asyncio.get_running_loop()
        if isinstance(packet, ll.ConnectInd):
            other = self.find_le_controller(packet.advertiser_address)
            if other is not None:
                loop.call_soon(other.on_ll_advertising_pdu, packet)
            return
        if random.random() < self.loss.get(advertiser, 0.0):
            return
        for controller in self.controllers:
            listens = controller.le_scan_enable or controller.pending_le_connection
            if listens and controller is not sender_controller:
                loop.call_soon(controller.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a link-layer packet; to a radio that is gone it is simply lost."""
        other = self.find_le_controller(receiver_address)
        if other is not None and sender_address in other.le_connections:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)


def _deliver(controller: Controller, sender: hci.Address, transport: core.PhysicalTransport, data: bytes) -> None:
    if sender in controller.le_connections:  # the connection may have ended while the packet was in the air
        controller.on_link_acl_data(sender, transport, data)


def _time_out(controller: Controller, connection: Connection) -> None:
    controller.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


class VirtualController(Controller):
    """A Bluetooth controller in the air. Its host's stream of packets may be given at once, or set later."""

    # As with the data length extension of a current controller: one notification, one packet.
    le_acl_data_packet_length = 251

    def __init__(
        self,
        name: str,
        air: Air,
        address: str,
        *,
        host_source: TransportSource | None = None,
        host_sink: TransportSink | None = None,
    ) -> None:
        super().__init__(name, host_source, host_sink, link=air, public_address=address)
        self._air = air

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Give up connecting, and say so (Core 5.4, Vol 4, Part E, 7.8.13)."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        gave_up = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, gave_up)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Report an advertisement once, as loud as the air says, and connect if it was waited for."""
        if self.le_scan_enable:
            self.send_hci_packet(hci.HCI_LE_Extended_Advertising_Report_Event([self._report(pdu)]))
        pending = self.pending_le_connection
        if pending is not None and pending.peer_address == pdu.advertiser_address:
            self.create_le_connection(pdu.advertiser_address)

    def _report(self, pdu: ll.AdvInd | ll.AdvExtInd) -> hci.HCI_LE_Extended_Advertising_Report_Event.Report:
        address = pdu.advertiser_address
        return hci.HCI_LE_Extended_Advertising_Report_Event.Report(
            event_type=hci.HCI_LE_Extended_Advertising_Report_Event.EventType.CONNECTABLE_ADVERTISING,
            address_type=address.address_type,
            address=address,
            primary_phy=hci.Phy.LE_1M,
            secondary_phy=hci.Phy.LE_1M,
            advertising_sid=0,
            tx_power=0,
            rssi=self._air.rssi.get(address.to_string(False), _NEAR_DBM),
            periodic_advertising_interval=0,
            direct_address_type=0,
            direct_address=hci.Address.ANY,
            data=pdu.data,
        )


def new_device(air: Air, address: str, name: str, *, advertise_every_ms: float = 250) -> Device:
    """A peripheral's Bluetooth stack in the air, not yet powered on. Pairs by "just works", keeps its bonds."""
    return _device(air.host(name, address), address, name, advertise_every_ms)


def new_adapter(host: Host, address: str) -> Device:
    """A gateway's Bluetooth stack above an HCI connection to its controller."""
    return _device(host, address, "gateway", 1000)


def _device(host: Host, address: str, name: str, advertise_every_ms: float) -> Device:
    config = DeviceConfiguration(
        name=name,
        address=hci.Address(address),
        advertising_interval_min=advertise_every_ms,
        advertising_interval_max=advertise_every_ms,
        irk=(bytes(hci.Address(address)) * 3)[:16],
    )
    device = Device(config=config, host=host)
    device.pairing_config_factory = _just_works
    return device


def _just_works(_connection: object) -> PairingConfig:
    # The identity exchanged must be the random address that is advertised, or the bond is filed under
    # another key than the one looked up at the next connection.
    return PairingConfig(
        sc=True,
        mitm=False,
        bonding=True,
        delegate=PairingDelegate(),
        identity_address_type=PairingConfig.AddressType.RANDOM,
    )
