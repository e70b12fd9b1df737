"""Bytes to values and back, one module for each Bluetooth service or vendor's stream. Pure.

Layouts are from the Bluetooth SIG's GATT Specification Supplement and the service specification named in each
module; where one is a row of fields it is written as a table (:mod:`devices.gatt.layout`). All integers are
little-endian. What cannot be decoded raises :class:`devices.gatt.errors.DecodeError` and nothing else.

A function ``decode`` or ``decode_<what>`` that takes the bytes alone is found by the property tests and by the fuzzer,
with ``encode`` or ``encode_<what>`` beside it: both ways must agree.
"""
