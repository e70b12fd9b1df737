"""People, how they sign in, and their sessions. Only the service reads accounts and sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from store.postgres import Connection, one, rows, value

_PERSON: Final[LiteralString] = "p.id, p.name_zh, p.name_en, p.phone, p.language, p.centre_id"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody known by name. ``phone`` is E.164; ``language`` is ``zh_Hans`` or ``en``."""

    id: UUID
    name_zh: str
    name_en: str
    phone: str | None
    language: str
    centre_id: int

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Account:
    """How a person signs in; ``face`` is the portal that opens for her."""

    person_id: UUID
    username: str
    password_hash: str
    face: str
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that is still good."""

    person_id: UUID
    face: str
    csrf_token: str
    expires_at: datetime
    last_used_at: datetime


async def add_centre(c: Connection, name_zh: str, name_en: str, phone: str | None, time_zone: str) -> int:
    """A health centre; returns its number. Its telephone is the line that is called when nobody else answers."""
    centre_id = int(
        await value(
            c,
            "INSERT INTO centre (name_zh, name_en, phone, time_zone) VALUES (%s, %s, %s, %s) RETURNING id",
            [name_zh, name_en, phone, time_zone],
        )
    )
    await c.execute(
        "WITH line AS (INSERT INTO person (centre_id, name_zh, name_en, phone) SELECT id, name_zh || '值班电话', "
        "'Duty line of ' || name_en, phone FROM centre WHERE id = %s AND phone ~ '^\\+[1-9][0-9]{6,14}$' "
        "ON CONFLICT DO NOTHING RETURNING id) UPDATE centre SET fallback_id = line.id FROM line WHERE centre.id = %s",
        [centre_id, centre_id],
    )
    return centre_id


@dataclass(frozen=True, slots=True)
class Centre:
    """A community health centre."""

    id: int
    name_zh: str
    name_en: str
    phone: str | None
    time_zone: str


async def centres(c: Connection) -> list[Centre]:
    """Every health centre, but for the one of the service's own probe."""
    return await rows(
        c,
        Centre,
        "SELECT id, name_zh, name_en, phone, time_zone FROM centre WHERE id <> ALL (SELECT centre_id FROM probe) ORDER BY id",
    )


async def add_person(
    c: Connection, centre_id: int, name_zh: str, name_en: str, phone: str | None, language: str
) -> Person:
    """A new person. Raises ``psycopg.errors.UniqueViolation`` when the number is somebody else's."""
    found = await one(
        c,
        Person,
        "INSERT INTO person AS p (centre_id, name_zh, name_en, phone, language) VALUES (%s, %s, %s, %s, %s) RETURNING "
        + _PERSON,
        [centre_id, name_zh, name_en, phone, language],
    )
    assert found is not None
    return found


async def add_account(c: Connection, person_id: UUID, username: str, password_hash: str, face: str) -> None:
    """Let a person sign in; an account she has already gets the new password and face."""
    await c.execute(
        "INSERT INTO account (person_id, username, password_hash, face) VALUES (%s, %s, %s, %s) ON CONFLICT (person_id) "
        "DO UPDATE SET username = excluded.username, password_hash = excluded.password_hash, face = excluded.face",
        [person_id, username.lower(), password_hash, face],
    )


async def account(c: Connection, username: str) -> Account | None:
    """The account of a sign-in name, whatever its case."""
    return await one(
        c,
        Account,
        "SELECT person_id, username, password_hash, face, disabled_at FROM account WHERE username = %s",
        [username.strip().lower()],
    )


async def set_password_hash(c: Connection, person_id: UUID, password_hash: str) -> None:
    """Replace a password's hash, for instance by one with newer parameters."""
    await c.execute("UPDATE account SET password_hash = %s WHERE person_id = %s", [password_hash, person_id])


async def person(c: Connection, person_id: UUID) -> Person | None:
    """The person of this identity, if the connection may see her."""
    return await one(c, Person, "SELECT " + _PERSON + " FROM person p WHERE p.id = %s", [person_id])


async def person_by_phone(c: Connection, phone: str) -> Person | None:
    """Whose telephone this is."""
    return await one(c, Person, "SELECT " + _PERSON + " FROM person p WHERE p.phone = %s", [phone])


async def people(c: Connection, ids: list[UUID]) -> dict[UUID, Person]:
    """Those of ``ids`` whom the connection may see."""
    found = await rows(c, Person, "SELECT " + _PERSON + " FROM person p WHERE p.id = ANY(%s)", [ids])
    return {p.id: p for p in found}


async def left(c: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Those of these people whose account is closed."""
    cursor = await c.execute(
        "SELECT person_id FROM account WHERE person_id = ANY(%s) AND disabled_at IS NOT NULL", [list(ids)]
    )
    return {row[0] for row in await cursor.fetchall()}


async def staff(c: Connection, centre_id: int) -> list[Person]:
    """Everybody of the centre who can be called to an alert."""
    return await rows(
        c,
        Person,
        "SELECT " + _PERSON + " FROM person p JOIN account a ON a.person_id = p.id "
        "WHERE p.centre_id = %s AND a.face IN ('care_worker', 'doctor') AND a.disabled_at IS NULL AND p.phone IS NOT NULL "
        "ORDER BY a.face, p.name_en",
        [centre_id],
    )


async def set_language(c: Connection, person_id: UUID, language: str) -> None:
    """The language a person reads, on pages and in messages."""
    await c.execute("UPDATE person SET language = %s WHERE id = %s", [language, person_id])


async def open_session(
    c: Connection, token_hash: bytes, person_id: UUID, csrf_token: str, expires_at: datetime
) -> None:
    """Remember a sign-in by the hash of its cookie."""
    await c.execute(
        "INSERT INTO session (token_hash, person_id, csrf_token, expires_at) VALUES (%s, %s, %s, %s)",
        [token_hash, person_id, csrf_token, expires_at],
    )


async def session(c: Connection, token_hash: bytes, now: datetime) -> Session | None:
    """The sign-in behind a cookie, unless it has ended, expired, or the account is disabled."""
    return await one(
        c,
        Session,
        "SELECT s.person_id, a.face, s.csrf_token, s.expires_at, s.last_used_at FROM session s JOIN account a USING (person_id) "
        "WHERE s.token_hash = %s AND s.expires_at > %s AND a.disabled_at IS NULL",
        [token_hash, now],
    )


async def touch_session(c: Connection, token_hash: bytes, now: datetime, expires_at: datetime) -> None:
    """Say that a sign-in is in use, and let it live on."""
    await c.execute(
        "UPDATE session SET last_used_at = %s, expires_at = %s WHERE token_hash = %s",
        [now, expires_at, token_hash],
    )


async def close_session(c: Connection, token_hash: bytes) -> None:
    """End one sign-in."""
    await c.execute("DELETE FROM session WHERE token_hash = %s", [token_hash])


async def close_sessions(c: Connection, person_id: UUID) -> None:
    """End every sign-in of a person."""
    await c.execute("DELETE FROM session WHERE person_id = %s", [person_id])


async def note_failed_sign_in(c: Connection, username: str, address: str, now: datetime) -> None:
    """Remember a wrong password."""
    await c.execute(
        "INSERT INTO sign_in_attempt (username, address, at) VALUES (%s, %s, %s)",
        [username.strip().lower(), address, now],
    )


async def forget_failed_sign_ins(c: Connection, username: str, address: str) -> None:
    """The right password after all: what was typed wrong before counts no longer for this name and address."""
    await c.execute(
        "DELETE FROM sign_in_attempt WHERE username = %s AND address = %s", [username.strip().lower(), address]
    )


async def failed_sign_ins(c: Connection, username: str, address: str, since: datetime) -> tuple[int, int]:
    """How many wrong passwords since then, for this name and from this address."""
    cursor = await c.execute(
        "SELECT count(*) FILTER (WHERE username = %s), count(*) FILTER (WHERE address = %s) FROM sign_in_attempt "
        "WHERE at > %s AND (username = %s OR address = %s)",
        [username.strip().lower(), address, since, username.strip().lower(), address],
    )
    row = await cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def forget_old(c: Connection, now: datetime, attempts_before: datetime) -> None:
    """Drop expired sessions and old failed sign-ins."""
    await c.execute("DELETE FROM session WHERE expires_at <= %s", [now])
    await c.execute("DELETE FROM sign_in_attempt WHERE at <= %s", [attempts_before])
