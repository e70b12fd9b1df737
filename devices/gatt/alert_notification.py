"""New Alert (0x2A46) as InfiniTime takes it: a sentence on the watch's screen, and the watch vibrates once.

The Alert Notification Service (0x1811) is meant to run on a telephone, which notifies; InfiniTime has it the other way
round, and is written to. Its header has three bytes where the standard's has two, so the text begins after a zero
(InfiniTimeOrg/InfiniTime ``src/components/ble/AlertNotificationService.cpp``: ``headerSize``). A simple alert vibrates
once (``src/displayapp/screens/Notifications.cpp``); a call (category 3) rings on, but asks to be answered as one, so who
presses its green button may mean anything. The watch also has the Immediate Alert Service, which shows "Alert : High"
and nothing more. Its fonts have no Chinese. Nothing was tried on a watch.
"""

from __future__ import annotations

from typing import Final

from devices.gatt.errors import DecodeError

SERVICE: Final = "00001811-0000-1000-8000-00805f9b34fb"
NEW_ALERT: Final = "00002a46-0000-1000-8000-00805f9b34fb"

_SIMPLE: Final = b"\x00\x01\x00"  # the category, how many there are, and what only InfiniTime has
_MOST_BYTES: Final = 100  # src/components/ble/NotificationManager.h: MessageSize


def encode(text: str) -> bytes:
    """A simple alert with this text of ASCII, cut off where the watch would."""
    return _SIMPLE + text.encode("ascii")[:_MOST_BYTES]


def decode(data: bytes) -> str:
    """The text of a simple alert, as far as the watch shows it."""
    text = data[len(_SIMPLE) :][:_MOST_BYTES]
    if not data.startswith(_SIMPLE) or not text.isascii():
        raise DecodeError("reserved_value", "this is no simple alert in ASCII")
    return text.decode("ascii")
