"""The machine's adapter over a real private D-Bus, with bluetoothd's own words at the far end."""

# No `from __future__ import annotations` here: dbus-fast reads the signatures as they stand.
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import pytest
from bleak import BleakScanner
from bleak.args.bluez import OrPattern
from bleak.exc import BleakError
from dbus_fast import DBusError, Message, MessageType, PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from devices.agent import AGENT_PATH, Agent, address_of
from devices.bluez import BlueZRadio
from tests.conftest import unavailable
from tests.devices.home import until

pytestmark = pytest.mark.anyio

CUFF = "C0:FF:EE:00:00:01"
CUFF_PATH = "/org/bluez/hci0/dev_C0_FF_EE_00_00_01"


class FakeManager(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.AgentManager1")
        self.registered: list[tuple[str, str]] = []
        self.default = ""

    @dbus_method()
    def RegisterAgent(self, agent: DBusObjectPath, capability: DBusStr) -> None:  # noqa: N802
        self.registered.append((agent, capability))

    @dbus_method()
    def RequestDefaultAgent(self, agent: DBusObjectPath) -> None:  # noqa: N802
        self.default = agent


class FakeAdapter(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.Adapter1")
        self.powered: list[bool] = []
        self.bonded = {CUFF_PATH}

    @dbus_property()
    def Powered(self) -> DBusBool:  # noqa: N802
        return bool(self.powered and self.powered[-1])

    @Powered.setter
    def Powered(self, value: DBusBool) -> None:  # noqa: N802
        self.powered.append(value)

    @dbus_method()
    def RemoveDevice(self, device: DBusObjectPath) -> None:  # noqa: N802
        if device not in self.bonded:
            raise DBusError("org.bluez.Error.DoesNotExist", "Does Not Exist")
        self.bonded.remove(device)


class FakeMonitors(ServiceInterface):
    """What bluetoothd offers only with its experimental interfaces switched on."""

    def __init__(self, kinds: list[str]) -> None:
        super().__init__("org.bluez.AdvertisementMonitorManager1")
        self.kinds = kinds

    @dbus_property(PropertyAccess.READ)
    def SupportedMonitorTypes(self) -> Annotated[list[str], DBusSignature("as")]:  # noqa: N802
        return self.kinds


class Bluetoothd:
    """bluetoothd's place on the bus."""

    def __init__(self, address: str) -> None:
        self.bus = MessageBus(bus_address=address)
        self.manager = FakeManager()
        self.adapter = FakeAdapter()

    async def start(self) -> None:
        await self.bus.connect()
        self.bus.export("/org/bluez", self.manager)
        self.bus.export("/org/bluez/hci0", self.adapter)
        await self.bus.request_name("org.bluez")

    def hang(self) -> None:
        """Keep the name, and answer nobody any more."""
        self.bus.add_message_handler(lambda message: message.message_type is MessageType.METHOD_CALL or None)

    async def ask_agent(self, path: str, member: str, signature: str, *body: object) -> Message:
        sender = next(iter(await self._names()))
        reply = await self.bus.call(
            Message(sender, AGENT_PATH, "org.bluez.Agent1", member, signature=signature, body=list(body))
        )
        assert reply is not None
        return reply

    async def _names(self) -> list[str]:
        reply = await self.bus.call(
            Message("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames")
        )
        assert reply is not None
        return [n for n in reply.body[0] if n.startswith(":") and n != self.bus.unique_name]


@pytest.fixture(scope="module")
def bus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        unavailable("the package dbus (dbus-daemon) is not installed")
    folder = tmp_path_factory.mktemp("dbus")
    config = folder / "bus.conf"
    config.write_text(
        f"<busconfig><type>custom</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>'
        '<allow own="*"/></policy></busconfig>'
    )
    process = subprocess.Popen(
        [str(daemon), f"--config-file={config}", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait()


@pytest.fixture
async def bluetoothd(bus_address: str) -> AsyncIterator[Bluetoothd]:
    daemon = Bluetoothd(bus_address)
    await daemon.start()
    yield daemon
    daemon.bus.disconnect()


@pytest.fixture
async def radio(bus_address: str) -> AsyncIterator[BlueZRadio]:
    found = BlueZRadio(bus_address=bus_address, off_s=0)
    yield found
    await found.close()


async def test_opening_registers_an_agent_without_keyboard_and_screen_and_powers_the_adapter(
    bluetoothd: Bluetoothd, radio: BlueZRadio
) -> None:
    assert radio.lost.is_set()
    await radio.reset()
    assert not radio.lost.is_set()
    assert bluetoothd.manager.registered == [(AGENT_PATH, "NoInputNoOutput")]
    assert bluetoothd.manager.default == AGENT_PATH
    assert bluetoothd.adapter.powered == [False, True]


async def test_forgetting_removes_the_device_and_minds_no_device_that_is_not_there(
    bluetoothd: Bluetoothd, radio: BlueZRadio
) -> None:
    await radio.reset()
    await radio.forget(CUFF.lower())
    assert not bluetoothd.adapter.bonded
    await radio.forget(CUFF)


async def test_bluetoothd_itself_can_have_the_agent_confirm_a_device_of_the_home_and_no_other(
    bluetoothd: Bluetoothd, radio: BlueZRadio
) -> None:
    radio.expect([CUFF])
    await radio.reset()
    mine = await bluetoothd.ask_agent(AGENT_PATH, "RequestConfirmation", "ou", CUFF_PATH, 123456)
    stranger = await bluetoothd.ask_agent(AGENT_PATH, "RequestAuthorization", "o", CUFF_PATH.replace("01", "02"))
    passkey = await bluetoothd.ask_agent(AGENT_PATH, "RequestPasskey", "o", CUFF_PATH)
    assert mine.message_type is MessageType.METHOD_RETURN
    assert (stranger.error_name, passkey.error_name) == ("org.bluez.Error.Rejected", "org.bluez.Error.Rejected")


async def test_a_bluetoothd_that_ends_is_noticed_and_the_next_one_gets_the_agent_too(
    bus_address: str, radio: BlueZRadio
) -> None:
    first = Bluetoothd(bus_address)
    await first.start()
    await radio.reset()
    first.bus.disconnect()
    await until(radio.lost.is_set)
    second = Bluetoothd(bus_address)
    await second.start()
    await radio.reset()
    assert second.manager.registered
    second.bus.disconnect()


async def test_a_bluetoothd_that_hangs_is_given_up_in_time_and_asked_anew_over_another_connection(
    bus_address: str,
) -> None:
    hung = Bluetoothd(bus_address)
    await hung.start()
    radio = BlueZRadio(bus_address=bus_address, off_s=0, call_s=0.2)
    await radio.reset()
    hung.hang()
    with pytest.raises(TimeoutError, match="bluetoothd did not answer Set"):
        await radio.reset()
    assert radio.lost.is_set()
    with pytest.raises(TimeoutError, match="bluetoothd did not answer RegisterAgent"):
        await radio.reset()
    hung.bus.disconnect()
    well = Bluetoothd(bus_address)
    await well.start()
    await radio.reset()
    assert (radio.lost.is_set(), well.adapter.powered) == (False, [False, True])
    await radio.close()
    well.bus.disconnect()


async def test_without_advertisement_monitors_it_can_only_listen_actively(
    bluetoothd: Bluetoothd, radio: BlueZRadio
) -> None:
    await radio.reset()
    assert radio.passive_options is None
    bluetoothd.bus.export("/org/bluez/hci0", FakeMonitors(["something_else"]))
    await radio.reset()
    assert radio.passive_options is None


async def test_with_advertisement_monitors_it_can_listen_passively_to_every_device_of_a_home(
    bluetoothd: Bluetoothd, radio: BlueZRadio
) -> None:
    bluetoothd.bus.export("/org/bluez/hci0", FakeMonitors(["or_patterns"]))
    await radio.reset()
    assert radio.passive_options is not None
    scanner = BleakScanner(lambda _device, _said: None, **radio.passive_options)  # bleak itself takes them
    assert scanner is not None
    patterns = radio.passive_options["bluez"]["or_patterns"]
    assert len(patterns) <= 16  # more, and BlueZ lets the monitor go
    # A button's broadcast, with flags and without.
    for advertisement in (
        bytes.fromhex("020106 0416d2fc41"),
        bytes.fromhex("0416d2fc41"),
        bytes.fromhex("02011a 03031018"),
    ):
        assert any(fits(pattern, advertisement) for pattern in patterns)


def fits(pattern: OrPattern, advertisement: bytes) -> bool:
    """Whether one of the structures is what the pattern says (bluetoothd's ``src/adv_monitor.c``)."""
    while advertisement:
        length = advertisement[0]
        kind, data = advertisement[1], advertisement[2 : length + 1]
        begins, advertisement = pattern.start_position, advertisement[length + 1 :]
        if (
            kind == pattern.ad_data_type
            and data[begins : begins + len(pattern.content_of_pattern)] == pattern.content_of_pattern
        ):
            return True
    return False


async def test_what_is_missing_is_said_in_words(bus_address: str, bluetoothd: Bluetoothd, radio: BlueZRadio) -> None:
    other = BlueZRadio("hci7", bus_address=bus_address, off_s=0)
    with pytest.raises(BleakError, match="no Bluetooth adapter hci7"):
        await other.reset()
    await other.close()
    bluetoothd.bus.disconnect()
    with pytest.raises(BleakError, match="bluetoothd is not running"):
        await radio.reset()


async def test_without_a_bus_the_adapter_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises((OSError, BleakError)):
        await BlueZRadio(bus_address=f"unix:path={tmp_path}/none").reset()


def test_an_agent_knows_a_device_by_its_path() -> None:
    assert address_of(CUFF_PATH) == CUFF
    agent = Agent()
    with pytest.raises(DBusError, match="does not belong to this home"):
        agent.check(CUFF_PATH)
    agent.expected = {CUFF}
    agent.check(CUFF_PATH)
