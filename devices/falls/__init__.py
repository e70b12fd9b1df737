"""Streaming fall detection: acceleration in, falls and recoveries out. Pure: no clock, no loop, no device."""

from devices.falls.detector import POSITIONS, Detector, FallEvent, Position

__all__ = ["POSITIONS", "Detector", "FallEvent", "Position"]
