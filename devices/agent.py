"""The pairing agent that BlueZ asks: no keyboard, no screen, and only devices that belong to this home.

bleak registers none, and without one BlueZ answers ``AuthenticationFailed`` to a cuff that wants to pair.
"""

# No `from __future__ import annotations` here: dbus-fast reads the signatures as they stand.
import logging
from typing import Final

from dbus_fast import DBusError
from dbus_fast.annotations import DBusObjectPath, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

log = logging.getLogger(__name__)

AGENT_PATH: Final = "/org/hearthwatch/agent"
_REJECTED: Final = "org.bluez.Error.Rejected"


def address_of(path: str) -> str:
    """The Bluetooth address in BlueZ's object path of a device."""
    return path.rpartition("/dev_")[2].replace("_", ":").upper()


class Agent(ServiceInterface):
    """``org.bluez.Agent1`` with the capability ``NoInputNoOutput``. Only ``expected`` addresses may pair."""

    def __init__(self) -> None:
        super().__init__("org.bluez.Agent1")
        self.expected: set[str] = set()

    def check(self, path: str) -> None:
        """Let a device of this home pass; refuse any other with BlueZ's own error."""
        address = address_of(path)
        if address not in self.expected:
            log.warning("refused to pair with %s, which does not belong to this home", address)
            raise DBusError(_REJECTED, f"{address} does not belong to this home")

    @dbus_method()
    def Release(self) -> None:  # noqa: N802  the names are BlueZ's
        """bluetoothd lets go of the agent."""

    @dbus_method()
    def Cancel(self) -> None:  # noqa: N802
        """A request is withdrawn."""

    @dbus_method()
    def RequestAuthorization(self, device: DBusObjectPath) -> None:  # noqa: N802
        """Pairing by "just works"."""
        self.check(device)

    @dbus_method()
    def RequestConfirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:  # noqa: N802
        """Numeric comparison, which BlueZ asks for even where nobody could compare."""
        self.check(device)

    @dbus_method()
    def AuthorizeService(self, device: DBusObjectPath, uuid: DBusStr) -> None:  # noqa: N802
        """A device wants to use a service of ours."""
        self.check(device)

    @dbus_method()
    def RequestPinCode(self, device: DBusObjectPath) -> DBusStr:  # noqa: N802
        """A device that wants a PIN cannot be served: nobody is there to type it."""
        raise DBusError(_REJECTED, f"{address_of(device)} asks for a PIN, and a gateway has no keyboard")

    @dbus_method()
    def RequestPasskey(self, device: DBusObjectPath) -> DBusUInt32:  # noqa: N802
        """A device that shows a passkey cannot be served."""
        raise DBusError(_REJECTED, f"{address_of(device)} shows a passkey, and a gateway has no keyboard")

    @dbus_method()
    def DisplayPinCode(self, device: DBusObjectPath, pincode: DBusStr) -> None:  # noqa: N802
        """A PIN for somebody to read: nobody can."""
        raise DBusError(_REJECTED, "a gateway has no screen")

    @dbus_method()
    def DisplayPasskey(self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16) -> None:  # noqa: N802
        """A passkey for somebody to read: nobody can."""
        raise DBusError(_REJECTED, "a gateway has no screen")
