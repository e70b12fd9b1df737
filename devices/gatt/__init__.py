"""Bytes to values and back, one module for each Bluetooth SIG characteristic family. Pure.

Layouts are from the Bluetooth SIG's GATT Specification Supplement and the service specification named in each
module. All integers are little-endian. What cannot be decoded raises :class:`devices.gatt.errors.DecodeError`.
"""
