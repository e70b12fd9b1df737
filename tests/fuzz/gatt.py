"""Fuzz every decoder of :mod:`devices.gatt`: ``make fuzz``, for ``FUZZ_S`` seconds.

The first byte of an input chooses the decoder, the rest is its packet. The fuzzer is guided by which lines and which
branches a packet reaches. A packet that comes to anything else than a value or a ``DecodeError``, or that is read
otherwise after being written again, ends the run with a fault and is kept in ``build/fuzz``: give that file as the
argument to read it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["devices.gatt"]):
    from tests.fuzz.decoders import every_decoder

    DECODERS = every_decoder()
FAULTS = Path("build/fuzz")


def one_packet(data: bytes) -> None:
    """What the fuzzer calls."""
    if data:
        DECODERS[data[0] % len(DECODERS)].check(data[1:])


if __name__ == "__main__":
    FAULTS.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"{len(DECODERS)} decoders: {', '.join(d.name for d in DECODERS)}\n")
    sys.stdout.flush()
    atheris.Setup([*sys.argv, f"-artifact_prefix={FAULTS}/", "-max_len=64"], one_packet)
    atheris.Fuzz()
