"""Help buttons that broadcast BTHome v2, encrypted (Shelly BLU Button and its like). Any press is a call for help."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from devices.desk import Desk
from devices.drivers.bthome import Broadcaster
from devices.drivers.driver import Configured, Title
from devices.gatt import bthome
from devices.gatt.bthome import Object
from devices.outbox import OutboxFull
from devices.readings import Reading


class HelpButton(Broadcaster):
    """One button of the home, or several in one case.

    However long or often it was pressed, also in a way that this gateway does not know: somebody calls.
    """

    kind: ClassVar[str] = "help_button"
    title: ClassVar[Title] = Title("Help button", "呼救按钮")

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._is_held = False

    def readings(self, said: Sequence[Object], now: datetime) -> list[Reading]:
        """One call for each packet with a press; ``detail`` says which button (from 1) and how (BTHome's number)."""
        presses = [thing.number for thing in said if thing.id == bthome.BUTTON]
        pressed = [(number, how) for number, how in enumerate(presses, 1) if self._is_call(how)]
        if any(presses):
            self._is_held = bthome.HOLD in presses
        return [self.reading("help_call", 1.0, now, button=n, press=how) for n, how in pressed[:1]]

    def _is_call(self, how: int) -> bool:
        """Letting go after a hold is the end of a call that was heard. Unless it was not."""
        return bool(how) and not (how == bthome.HOLD_RELEASE and self._is_held)

    def say_lost(self, error: OutboxFull) -> None:
        """Whoever reads this must ring: somebody pressed."""
        self.desk.trouble(self.address, f"a call for help could not be kept: {error}")
