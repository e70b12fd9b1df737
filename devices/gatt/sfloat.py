"""SFLOAT and FLOAT, the medical floating point numbers of IEEE 11073-20601.

SFLOAT has a 4-bit exponent and a 12-bit mantissa, FLOAT an 8-bit exponent and a 24-bit mantissa, both signed;
the value is mantissa x 10^exponent. Five mantissas with exponent 0 are not numbers.
"""

from __future__ import annotations

import math
from typing import Final

NAN: Final = 0x07FF
NRES: Final = 0x0800
POSITIVE_INFINITY: Final = 0x07FE
NEGATIVE_INFINITY: Final = 0x0802
RESERVED: Final = 0x0801


def decode_sfloat(raw: int) -> float | None:
    """The value of 16 bits; ``None`` for NaN, NRes (not at this resolution) and the reserved mantissa."""
    return _decode(raw, mantissa_bits=12)


def decode_float(raw: int) -> float | None:
    """The value of 32 bits; ``None`` for NaN, NRes and the reserved mantissa."""
    return _decode(raw, mantissa_bits=24)


def _decode(raw: int, mantissa_bits: int) -> float | None:
    sign = 1 << (mantissa_bits - 1)
    mantissa = raw & ((1 << mantissa_bits) - 1)
    exponent = raw >> mantissa_bits
    if exponent == 0:
        if mantissa in (sign - 1, sign, sign + 1):
            return None
        if mantissa == sign - 2:
            return math.inf
        if mantissa == sign + 2:
            return -math.inf
    if mantissa & sign:
        mantissa -= sign << 1
    exponent_sign = 8 if mantissa_bits == 12 else 128
    if exponent & exponent_sign:
        exponent -= exponent_sign << 1
    # Dividing by an exact power of ten rounds once; multiplying by 0.1 would round twice.
    return float(mantissa * 10**exponent) if exponent >= 0 else mantissa / 10**-exponent


def encode_sfloat(value: float | None) -> int:
    """16 bits for a value, with as many decimals as fit; ``None`` is NaN. Raises ``ValueError`` beyond the range."""
    if value is None or math.isnan(value):
        return NAN
    if math.isinf(value):
        return POSITIVE_INFINITY if value > 0 else NEGATIVE_INFINITY
    for exponent in range(-8, 8):
        mantissa = round(value / 10.0**exponent)
        if -2046 < mantissa < 2046 and (exponent == 7 or _is_exact(value, mantissa, exponent) or abs(mantissa) > 204):
            return (exponent & 0xF) << 12 | (mantissa & 0xFFF)
    raise ValueError(f"{value} does not fit an SFLOAT")


def _is_exact(value: float, mantissa: int, exponent: int) -> bool:
    return math.isclose(mantissa * 10.0**exponent, value, rel_tol=1e-12, abs_tol=1e-12) and (
        exponent == 0 or mantissa % 10 != 0
    )
