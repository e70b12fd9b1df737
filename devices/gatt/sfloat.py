"""SFLOAT and FLOAT, the medical floating point numbers of IEEE 11073-20601.

SFLOAT has a 4-bit exponent and a 12-bit mantissa, FLOAT an 8-bit exponent and a 24-bit mantissa, both signed;
the value is mantissa x 10^exponent. Five mantissas with exponent 0 are not numbers; of an SFLOAT these are 0x7FF
(NaN), 0x800 (NRes, not at this resolution), 0x801 (reserved), 0x7FE (+infinity) and 0x802 (-infinity).
"""

from __future__ import annotations

import math


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
    return _encode(value, mantissa_bits=12, exponents=range(-8, 8))


def encode_float(value: float | None) -> int:
    """32 bits for a value, with as many decimals as fit; ``None`` is NaN. Raises ``ValueError`` beyond the range."""
    return _encode(value, mantissa_bits=24, exponents=range(-128, 128))


def _encode(value: float | None, mantissa_bits: int, exponents: range) -> int:
    sign = 1 << (mantissa_bits - 1)
    if value is None or math.isnan(value):
        return sign - 1
    if math.isinf(value):
        return sign - 2 if value > 0 else sign + 2
    for exponent in exponents:
        mantissa = round(value / 10.0**exponent)
        # Only with exponent 0 do the outermost mantissas mean something else than a number.
        fits = -sign + 3 <= mantissa <= sign - 3 if exponent == 0 else -sign <= mantissa < sign
        is_fine = abs(mantissa) > sign // 10 or exponent == exponents[-1]
        if fits and (is_fine or _is_exact(value, mantissa, exponent)):
            return (exponent & len(exponents) - 1) << mantissa_bits | mantissa & (sign << 1) - 1
    raise ValueError(f"{value} does not fit {mantissa_bits} bits of mantissa")


def _is_exact(value: float, mantissa: int, exponent: int) -> bool:
    return math.isclose(mantissa * 10.0**exponent, value, rel_tol=1e-12, abs_tol=1e-12) and (
        exponent == 0 or mantissa % 10 != 0
    )
