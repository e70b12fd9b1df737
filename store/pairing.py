"""The one-time code by which an administrator lets a gateway in. The record keeps only its hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from store import audit, gateways
from store.postgres import Connection

LASTS: Final = timedelta(hours=24)
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U to mistake when read out on the telephone."""


def new_code() -> str:
    """A pairing code such as ``7KQ2-M9XD``: 40 bits."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"


def code_hash(code: str) -> bytes:
    """What the record keeps of a code. Case, spaces and hyphens do not matter, nor O for 0, I and L for 1."""
    plain = "".join(c for c in code.upper() if c.isalnum()).translate(str.maketrans("OIL", "011"))
    return hashlib.sha256(b"hearthwatch pairing " + plain.encode()).digest()


def command(code: str, server: str) -> str:
    """What is typed on the gateway."""
    return f"hearthwatch gateway pair {code} --server {server}"


async def issue_code(c: Connection, centre_id: int, name: str, now: datetime) -> str:
    """Expect a gateway of this name and return the code it must show once, within :data:`LASTS`."""
    code = new_code()
    await gateways.issue_pairing_code(c, centre_id, name, code_hash(code), now + LASTS)
    await audit.record(c, "pairing_code_issued", gateway=name)
    return code
