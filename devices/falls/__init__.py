"""Streaming fall detection: acceleration in, falls and recoveries out. Pure: no clock, no loop, no device."""

from devices.falls.detector import Detector, FallEvent
from devices.falls.model import POSITIONS, Position

__all__ = ["POSITIONS", "Detector", "FallEvent", "Position"]
