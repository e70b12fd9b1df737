"""Streaming fall detection: acceleration in, falls and recoveries out. Pure: no clock, no loop, no device."""

from devices.falls.detector import Detector, FallEvent

__all__ = ["Detector", "FallEvent"]
