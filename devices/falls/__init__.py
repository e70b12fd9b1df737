"""Streaming fall detection: acceleration in, falls and recoveries out. Pure: no clock, no loop, no device.

Where a stream goes, in this order:

- ``times``: when its samples were taken
- ``watch``: one wearer's stream, and all that looks at it
- ``resample``: reads it at 50 Hz
- ``detector``: finds blows, judges each once, and sees who is up again
- ``features``: what can be measured around a blow, and what of it a person is told
- ``model``: how surely that was a fall; the model itself lies in ``models``
- ``tape``: the seconds around a fall, to be kept

What is known beside it:

- ``worn``: whether anybody is in the device, or it was dropped; whether it is being charged
- ``wearer``: how careful to be with this wearer
- ``certainty``: what a home does after a suspected fall, until it is known how it ended

For learning and judging, away from the stream:

- ``recordings``: files of recordings, read and written
- ``training``: makes a model of recordings
- ``held_out``: leaves people or whole sets out, to judge on those never seen
- ``evaluation``: what was told of recordings, and how often that was right
- ``intervals``: how sure a figure is
- ``report``: the tables
"""

from devices.falls.detector import Detector, FallEvent
from devices.falls.model import POSITIONS, Position

__all__ = ["POSITIONS", "Detector", "FallEvent", "Position"]
