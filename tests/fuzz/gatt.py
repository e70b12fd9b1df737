"""Fuzz every decoder of :mod:`devices.gatt`: ``make fuzz``, for ``FUZZ_S`` seconds.

The first byte of an input chooses the decoder, the rest is its packet. The fuzzer begins with the packets that the
tests know and is guided by which branches an input reaches. A packet that comes to anything else than a value or a
``DecodeError``, or that is read otherwise after being written again, ends the run with a fault and is kept in
``build/fuzz``: give that file as the argument to read it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["devices.gatt"]):
    from tests.devices.gatt_packets import PACKETS
    from tests.fuzz.decoders import every_decoder

    DECODERS = every_decoder()

FAULTS = Path("build/fuzz")
CORPUS = FAULTS / "corpus"


def one_packet(data: bytes) -> None:
    """What the fuzzer calls."""
    if data:
        DECODERS[data[0] % len(DECODERS)].check(data[1:])


def sow() -> None:
    """Lay out the packets that are known."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    places = {decoder.decode: place for place, decoder in enumerate(DECODERS)}
    for number, (decode, packet, _) in enumerate(PACKETS.values()):
        (CORPUS / str(number)).write_bytes(bytes((places[decode],)) + bytes.fromhex(packet))


if __name__ == "__main__":
    sow()
    sys.stdout.write(f"{len(DECODERS)} decoders: {', '.join(d.name for d in DECODERS)}\n")
    sys.stdout.flush()
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    inputs = [argument for argument in sys.argv[1:] if argument not in options] or [str(CORPUS)]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={FAULTS}/", "-max_len=64", *inputs], one_packet)
    atheris.Fuzz()
