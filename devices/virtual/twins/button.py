"""A virtual help button, as a Shelly BLU Button1 or RC Button 4 broadcasts."""

from __future__ import annotations

from typing import ClassVar

from devices.gatt import bthome
from devices.virtual.bthome import Broadcaster
from devices.virtual.twin import Answer, Refused


class Button(Broadcaster):
    """A help button, or several in one case."""

    kind: ClassVar[str] = "help_button"

    async def press(self, how: int = bthome.PRESS, *, button: int = 1, of: int = 1) -> None:
        """Press ``button`` of so many, in one of BTHome's ways."""
        await self.say(*((bthome.BUTTON, how if number == button else 0) for number in range(1, of + 1)))

    async def do_press(self, how: int = bthome.PRESS, button: int = 1, of: int = 1) -> Answer:
        """Be pressed, ``how`` in BTHome's number, at one button ``of`` several."""
        if not (0 < how < 256 and 1 <= button <= of <= 4):
            raise Refused("a press has a number from 1 to 255, and a case up to 4 buttons")
        await self.press(how, button=button, of=of)
        return {}
