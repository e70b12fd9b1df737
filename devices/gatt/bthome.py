"""BTHome v2 (bthome.io/format, bthome.io/encryption): what an encrypting broadcaster says in its service data.

A packet is the device information, the sealed objects, a counter of four bytes and a message integrity check of four,
little-endian. The seal is AES-CCM; its nonce is address, UUID, device information and counter.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from devices.gatt.errors import DecodeError

UUID: Final = "0000fcd2-0000-1000-8000-00805f9b34fb"
BATTERY: Final = 0x01
OPENING: Final = 0x11
DOOR: Final = 0x1A
MOTION: Final = 0x21
MOVING: Final = 0x22
OCCUPANCY: Final = 0x23
PRESENCE: Final = 0x25
WINDOW: Final = 0x2D
BUTTON: Final = 0x3A

PRESS: Final = 0x01
HOLD: Final = 0x80
HOLD_RELEASE: Final = 0x81
"""Of the values of ``BUTTON``; 0 is no press, and every other is a press of some length."""

_UUID_IN_NONCE: Final = b"\xd2\xfc"
_ENCRYPTED: Final = 0x01
_WITH_ADDRESS: Final = 0x02
_VERSION: Final = 2
_TRIGGERED: Final = _VERSION << 5 | 0x04 | _ENCRYPTED  # speaks when there is something to say
_TRAILER: Final = 4 + 4  # counter, message integrity check
_SHORTEST: Final = 1 + _TRAILER

# How many bytes an object's value takes. Objects come in the order of their ids, so that whoever does not know one
# has read every older one before it.
_BY_LENGTH: Final = (
    (1, (0x00, 0x01, 0x09, 0x0F, 0x10, 0x11, *range(0x15, 0x30), 0x3A, 0x46, *range(0x57, 0x5A), 0x60, 0x64, 0x65)),
    (2, (0x02, 0x03, *range(0x06, 0x09), *range(0x0C, 0x0F), *range(0x12, 0x15), 0x3C, 0x3D, *range(0x3F, 0x42))),
    (2, (*range(0x43, 0x46), *range(0x47, 0x4B), 0x51, 0x52, 0x56, 0x5A, *range(0x5D, 0x60), 0x61, 0xF0)),
    (3, (0x04, 0x05, 0x0A, 0x0B, 0x42, 0x4B, 0xF2)),
    (4, (0x3E, *range(0x4C, 0x51), 0x55, 0x5B, 0x5C, 0x62, 0x63, 0xF1)),
)
LENGTHS: Final = MappingProxyType({number: length for length, ids in _BY_LENGTH for number in ids})
"""The length of each object's value in bytes, by the object's id; the three below say theirs themselves."""
_COMMAND, _TEXT, _RAW = 0x3B, 0x53, 0x54


class Object(NamedTuple):
    """One thing said: the object's id, and its value as it came."""

    id: int
    data: bytes

    @property
    def number(self) -> int:
        """The value as a whole number without sign."""
        return int.from_bytes(self.data, "little")


class Said(NamedTuple):
    """What a packet says, and the end of it that could not be read."""

    objects: tuple[Object, ...]
    unread: bytes


class Packet(NamedTuple):
    """What was sealed, and the counter that stands for it: no two packets of a device and key have the same."""

    counter: int
    payload: bytes


def is_encrypted(data: bytes) -> bool:
    """Whether this is the service data of an encrypting broadcaster."""
    return len(data) >= _SHORTEST and bool(data[0] & _ENCRYPTED) and data[0] >> 5 == _VERSION


def unseal(address: str, key: bytes, data: bytes) -> Packet:
    """Open a packet with the device's key of 16 bytes. Raises ``DecodeError``: ``truncated``, ``unknown_version``,
    ``not_encrypted``, ``wrong_key``."""
    if len(data) < _SHORTEST:
        raise DecodeError("truncated", f"a sealed packet has {_SHORTEST} bytes and more, not {len(data)}")
    if data[0] >> 5 != _VERSION:
        raise DecodeError("unknown_version", f"this is version {data[0] >> 5} of BTHome")
    if not data[0] & _ENCRYPTED:
        raise DecodeError("not_encrypted", "the packet is not encrypted")
    sender, begin = _mac(address), 1
    if data[0] & _WITH_ADDRESS:
        sender, begin = data[6:0:-1], 7
    sealed, counter, check = data[begin:-_TRAILER], data[-_TRAILER:-4], data[-4:]
    try:
        payload = AESCCM(key, tag_length=4).decrypt(_nonce(sender, data[0], counter), sealed + check, None)
    except (InvalidTag, ValueError) as error:
        raise DecodeError("wrong_key", "the packet does not open with this key") from error
    return Packet(int.from_bytes(counter, "little"), payload)


def seal(address: str, key: bytes, packet: Packet) -> bytes:
    """The service data that :func:`unseal` opens."""
    counter = packet.counter.to_bytes(4, "little")
    sealed = AESCCM(key, tag_length=4).encrypt(_nonce(_mac(address), _TRIGGERED, counter), packet.payload, None)
    return bytes((_TRIGGERED,)) + sealed[:-4] + counter + sealed[-4:]


def read(payload: bytes) -> Said:
    """What an opened packet says. Whatever comes after an object that is cut off or unknown stays unread."""
    found, at = [], 0
    while at < len(payload):
        begin, end = _extent(payload, at)
        if end > len(payload):
            break
        found.append(Object(payload[at], payload[begin:end]))
        at = end
    return Said(tuple(found), payload[at:])


def encode(said: Iterable[tuple[int, int]]) -> bytes:
    """The payload that says these (id, value), of objects of fixed length."""
    return b"".join(bytes((number,)) + value.to_bytes(LENGTHS[number], "little") for number, value in said)


def _extent(payload: bytes, at: int) -> tuple[int, int]:
    """Where the value of the object at ``at`` begins and ends: beyond the packet if nobody knows."""
    number = payload[at]
    if number in LENGTHS:
        return at + 1, at + 1 + LENGTHS[number]
    if number not in (_COMMAND, _TEXT, _RAW) or at + 1 == len(payload):
        return at, len(payload) + 1
    said = payload[at + 1]
    return at + 2, at + 2 + ((said & 0x1F) + 1 if number == _COMMAND else said)


def _mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def _nonce(sender: bytes, information: int, counter: bytes) -> bytes:
    return sender + _UUID_IN_NONCE + bytes((information,)) + counter
