"""How people are reached: what each wants, what has been proved to be hers, her browsers, and addresses that take nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from store.administration import Taken
from store.postgres import Connection, one, rows, value


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that decides how one person is reached about one priority.

    ``face`` is that of her account, or ``fallback`` for a centre's line, or empty. ``ways`` are her own wishes as the
    record keeps them. ``failing`` are the channels by which her addresses take nothing, ``channels`` those of the service.
    """

    person_id: UUID
    face: str
    phone: str | None
    email: str | None
    has_push: bool
    ways: list[dict[str, Any]] | None
    failing: list[str]
    channels: list[str]


@dataclass(frozen=True, slots=True)
class Contact:
    """A person's own addresses, as she sees them."""

    phone: str | None
    phone_verified_at: datetime | None
    email: str | None
    email_verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verification:
    """A code that was sent to an address to see whose it is. ``kind`` is ``phone`` or ``email``."""

    id: int
    kind: str
    address: str
    code_hash: bytes
    expires_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A code that a person may still enter, without what it is."""

    kind: str
    address: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser in which a person has let messages in. ``shown_at``: when one last said that it has shown one."""

    id: int
    browser: str
    added_at: datetime
    shown_at: datetime | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a browser listens, and the keys with which it alone reads (RFC 8291, in base64url)."""

    id: int
    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An address that takes nothing by a channel. ``why``: opted_out, or dead; ``error`` is the provider's code."""

    address: str
    channel: str
    why: str
    error: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AdministeredContact:
    """How somebody of the administrator's centre can be reached. ``face`` is ``fallback`` for the centre's line."""

    person_id: UUID
    name_zh: str
    name_en: str
    face: str
    phone: str | None
    phone_verified_at: datetime | None
    has_push: bool
    has_email: bool
    troubles: list[dict[str, Any]]

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When a relative is not called to a resident's alerts, in local time; equal ones mean that she always is."""

    resident_id: int
    called_zh: str
    called_en: str
    quiet_from: time
    quiet_until: time

    def name(self, language: str) -> str:
        """What she calls the resident, in ``language``."""
        return self.called_zh if language == "zh_Hans" else self.called_en


@dataclass(frozen=True, slots=True)
class Tried:
    """A message with which a person tests how she is reached."""

    channel: str
    state: str
    error: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    expires_at: datetime


_PROFILE: Final[LiteralString] = """
    SELECT p.id AS person_id,
           CASE WHEN EXISTS (SELECT FROM centre f WHERE f.fallback_id = p.id) THEN 'fallback' ELSE coalesce(a.face, '') END AS face,
           p.phone, e.address AS email, w.ways,
           EXISTS (SELECT FROM push_subscription s WHERE s.person_id = p.id) AS has_push,
           ARRAY(SELECT u.channel FROM unreachable u WHERE u.address IN (p.phone, e.address)) AS failing,
           ARRAY(SELECT s.channel FROM channel_state s) AS channels
    FROM person p
    LEFT JOIN account a ON a.person_id = p.id
    LEFT JOIN email_address e ON e.person_id = p.id
    LEFT JOIN contact_preference w ON w.person_id = p.id AND w.priority = %s
    WHERE p.id = ANY(%s)
"""


async def profiles(c: Connection, persons: Sequence[UUID], priority: str) -> list[Profile]:
    """How each of ``persons`` can be reached about an alert of ``priority``."""
    return await rows(c, Profile, _PROFILE, [priority, list(persons)])


async def set_channels(c: Connection, providers: Mapping[str, Sequence[str]], now: datetime) -> None:
    """By which channels this service reaches people from now on, and by whom."""
    await c.execute("DELETE FROM channel_state WHERE NOT channel = ANY(%s)", [list(providers)])
    for channel, names in providers.items():
        await c.execute(
            "INSERT INTO channel_state (channel, providers, since) VALUES (%s, %s, %s) "
            "ON CONFLICT (channel) DO UPDATE SET providers = excluded.providers, since = excluded.since "
            "WHERE channel_state.providers <> excluded.providers",
            [channel, list(names), now],
        )


async def channels(c: Connection) -> list[str]:
    """The channels by which the service reaches people."""
    cursor = await c.execute("SELECT channel FROM channel_state ORDER BY channel")
    return [row[0] for row in await cursor.fetchall()]


async def contact(c: Connection, person_id: UUID) -> Contact | None:
    """A person's addresses."""
    return await one(
        c,
        Contact,
        "SELECT p.phone, p.phone_verified_at, e.address AS email, e.verified_at AS email_verified_at "
        "FROM person p LEFT JOIN email_address e ON e.person_id = p.id WHERE p.id = %s",
        [person_id],
    )


async def preferences(c: Connection, person_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """What a person has chosen, by priority; a priority she has said nothing about is missing."""
    cursor = await c.execute("SELECT priority, ways FROM contact_preference WHERE person_id = %s", [person_id])
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def set_preference(
    c: Connection, person_id: UUID, priority: str, ways: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """How a person wants to be reached about alerts of a priority."""
    await c.execute(
        "INSERT INTO contact_preference (person_id, priority, ways, saved_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (person_id, priority) DO UPDATE SET ways = excluded.ways, saved_at = excluded.saved_at",
        [person_id, priority, Jsonb(list(ways)), now],
    )


async def forget_preferences(c: Connection, person_id: UUID) -> None:
    """From now on she is reached as the service does by itself."""
    await c.execute("DELETE FROM contact_preference WHERE person_id = %s", [person_id])


async def asked_lately(c: Connection, person_id: UUID, address: str, since: datetime) -> int:
    """How many codes were sent since then for this person, or to this address."""
    return int(
        await value(
            c,
            "SELECT count(*) FROM verification WHERE asked_at > %s AND (person_id = %s OR address = %s)",
            [since, person_id, address],
        )
    )


async def ask(
    c: Connection, person_id: UUID, kind: str, address: str, code_hash: bytes, now: datetime, expires_at: datetime
) -> None:
    """Remember that a code is on its way; one asked for before is good no longer."""
    await c.execute(
        "UPDATE verification SET ended_at = %s WHERE person_id = %s AND kind = %s AND ended_at IS NULL",
        [now, person_id, kind],
    )
    await c.execute(
        "INSERT INTO verification (person_id, kind, address, code_hash, asked_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s)",
        [person_id, kind, address, code_hash, now, expires_at],
    )


async def asked(c: Connection, person_id: UUID, now: datetime) -> list[Asked]:
    """The codes that a person may enter just now."""
    return await rows(
        c,
        Asked,
        "SELECT kind, address, expires_at FROM verification WHERE person_id = %s AND ended_at IS NULL AND expires_at > %s "
        "ORDER BY kind DESC",
        [person_id, now],
    )


async def try_code(c: Connection, person_id: UUID, kind: str, now: datetime) -> Verification | None:
    """The code that is looked for, one try of it counted; locked, so that tries at once are all counted."""
    return await one(
        c,
        Verification,
        "UPDATE verification SET tries = tries + 1 WHERE id = (SELECT id FROM verification WHERE person_id = %s AND kind = %s "
        "AND ended_at IS NULL AND expires_at > %s ORDER BY asked_at DESC LIMIT 1 FOR UPDATE) "
        "RETURNING id, kind, address, code_hash, expires_at, tries",
        [person_id, kind, now],
    )


async def end_verification(c: Connection, verification_id: int, now: datetime) -> None:
    """Its code is good no longer."""
    await c.execute("UPDATE verification SET ended_at = %s WHERE id = %s", [now, verification_id])


async def set_phone(c: Connection, person_id: UUID, phone: str, now: datetime) -> None:
    """A telephone that she has proved to be hers. Raises ``psycopg.errors.UniqueViolation`` when it is somebody else's."""
    await c.execute("UPDATE person SET phone = %s, phone_verified_at = %s WHERE id = %s", [phone, now, person_id])


async def phone_is_free(c: Connection, phone: str, person_id: UUID) -> bool:
    """Whether nobody else has this telephone."""
    return await value(c, "SELECT 1 FROM person WHERE phone = %s AND id <> %s", [phone, person_id]) is None


async def set_email(c: Connection, person_id: UUID, address: str, now: datetime) -> None:
    """An e-mail address that she has proved to be hers."""
    await c.execute(
        "INSERT INTO email_address (person_id, address, verified_at) VALUES (%s, %s, %s) "
        "ON CONFLICT (person_id) DO UPDATE SET address = excluded.address, verified_at = excluded.verified_at",
        [person_id, address, now],
    )


async def remove_email(c: Connection, person_id: UUID) -> None:
    """No e-mail to her any more."""
    await c.execute("DELETE FROM email_address WHERE person_id = %s", [person_id])


async def subscribe(
    c: Connection, person_id: UUID, endpoint: str, p256dh: str, auth: str, browser: str, now: datetime
) -> None:
    """A browser of this person listens; one in which somebody else was signed in before belongs to her no longer."""
    await c.execute(
        "INSERT INTO push_subscription (person_id, endpoint, p256dh, auth, browser, added_at) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (endpoint) DO UPDATE SET person_id = excluded.person_id, p256dh = excluded.p256dh, auth = excluded.auth, "
        "browser = excluded.browser, added_at = excluded.added_at, shown_at = NULL",
        [person_id, endpoint, p256dh, auth, browser, now],
    )


async def renew(c: Connection, old: tuple[str, str], new: tuple[str, str, str], now: datetime) -> bool:
    """A browser that listened at ``old`` (endpoint, auth) does so at ``new`` (endpoint, p256dh, auth); says whether it did."""
    done = await c.execute(
        "UPDATE push_subscription SET endpoint = %s, p256dh = %s, auth = %s, added_at = %s WHERE endpoint = %s AND auth = %s "
        "AND NOT EXISTS (SELECT FROM push_subscription WHERE endpoint = %s)",
        [*new, now, *old, new[0]],
    )
    return done.rowcount == 1


async def subscriptions(c: Connection, person_id: UUID) -> list[Subscription]:
    """Where this person's browsers listen."""
    return await rows(
        c,
        Subscription,
        "SELECT id, endpoint, p256dh, auth FROM push_subscription WHERE person_id = %s ORDER BY id",
        [person_id],
    )


async def browsers(c: Connection, person_id: UUID) -> list[Browser]:
    """The browsers in which this person has let messages in."""
    return await rows(
        c,
        Browser,
        "SELECT id, browser, added_at, shown_at FROM push_subscription WHERE person_id = %s ORDER BY id",
        [person_id],
    )


async def unsubscribe(c: Connection, person_id: UUID, number: int) -> bool:
    """One browser of this person listens no longer. Was there one of that number?"""
    done = await c.execute("DELETE FROM push_subscription WHERE person_id = %s AND id = %s", [person_id, number])
    return done.rowcount == 1


async def forget_subscriptions(c: Connection, numbers: Sequence[int]) -> None:
    """These browsers are gone: their push service says so."""
    await c.execute("DELETE FROM push_subscription WHERE id = ANY(%s)", [list(numbers)])


async def shown(c: Connection, person_id: UUID, now: datetime) -> None:
    """A browser of this person has shown a message."""
    await c.execute("UPDATE push_subscription SET shown_at = %s WHERE person_id = %s", [now, person_id])


async def note_unreachable(
    c: Connection, person_id: UUID, address: str, channel: str, why: str, error: str, now: datetime
) -> bool:
    """An address takes nothing; says whether that is new. Opted out outweighs dead: it says what to do."""
    done = await c.execute(
        "INSERT INTO unreachable AS u (address, channel, why, error, person_id, since) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (address, channel) DO UPDATE SET why = excluded.why, error = excluded.error, person_id = excluded.person_id "
        "WHERE u.why = 'dead' AND excluded.why = 'opted_out'",
        [address, channel, why, error, person_id, now],
    )
    return done.rowcount == 1


async def unreachable_by(c: Connection, person_id: UUID) -> list[Unreachable]:
    """The addresses of this person that take nothing."""
    return await rows(
        c,
        Unreachable,
        "SELECT address, channel, why, error, since FROM unreachable WHERE person_id = %s ORDER BY since, channel",
        [person_id],
    )


async def unreachable_persons(c: Connection) -> int:
    """How many people have an address that takes nothing."""
    return int(await value(c, "SELECT count(DISTINCT person_id) FROM unreachable"))


async def reachable_again(
    c: Connection, address: str, channels: Sequence[str] = ("sms", "voice", "email"), why: str | None = None
) -> int:
    """An address takes messages again, by these channels; returns how many troubles that ended."""
    done = await c.execute(
        "DELETE FROM unreachable WHERE address = %s AND channel = ANY(%s) AND (%s::text IS NULL OR why = %s)",
        [address, list(channels), why, why],
    )
    return done.rowcount


async def tests_since(c: Connection, person_id: UUID, since: datetime) -> list[Tried]:
    """The messages by which a person has tested how she is reached, newest first."""
    return await rows(
        c,
        Tried,
        "SELECT channel, state, error, created_at, sent_at, delivered_at, expires_at FROM message "
        "WHERE person_id = %s AND purpose = 'test' AND created_at > %s ORDER BY created_at DESC, id",
        [person_id, since],
    )


async def quiet_hours(c: Connection, person_id: UUID) -> list[QuietHours]:
    """The residents to whose alerts this relative is called, and her quiet hours for each."""
    return await rows(
        c,
        QuietHours,
        "SELECT f.resident_id, coalesce(r.called_zh, p.name_zh) AS called_zh, coalesce(r.called_en, p.name_en) AS called_en, "
        "f.quiet_from, f.quiet_until FROM family_call f "
        "JOIN relation r ON r.person_id = f.person_id AND r.resident_id = f.resident_id AND r.kind = 'family' "
        "AND (r.valid_until IS NULL OR r.valid_until > now()) "
        "JOIN resident s ON s.id = f.resident_id JOIN person p ON p.id = s.person_id "
        "WHERE f.person_id = %s AND f.ended_at IS NULL ORDER BY f.resident_id",
        [person_id],
    )


async def administered(c: Connection) -> list[AdministeredContact]:
    """How everybody of the reader's centre who is called can be reached: those nothing reaches first."""
    return await rows(
        c,
        AdministeredContact,
        "SELECT person_id, name_zh, name_en, face, phone, phone_verified_at, has_push, has_email, troubles "
        "FROM administered_contact ORDER BY jsonb_array_length(troubles) = 0, phone IS NOT NULL, "
        "array_position(ARRAY['fallback', 'care_worker', 'doctor', 'family'], face), name_en, person_id",
    )


async def administered_troubles(c: Connection) -> int:
    """How many people of the reader's centre cannot be reached: an address takes nothing, or staff have no telephone."""
    return int(
        await value(
            c,
            "SELECT count(*) FROM administered_contact "
            "WHERE jsonb_array_length(troubles) > 0 OR (phone IS NULL AND face IN ('doctor', 'care_worker'))",
        )
    )


async def administer_again(c: Connection, centre_id: int, address: str, channel: str) -> bool:
    """An administrator says that an address of somebody of her centre takes messages again; says whether it was one."""
    done = await c.execute(
        "DELETE FROM unreachable u USING person p WHERE u.person_id = p.id AND p.centre_id = %s AND u.address = %s AND u.channel = %s",
        [centre_id, address, channel],
    )
    return done.rowcount == 1


async def administer_phone(c: Connection, centre_id: int, person_id: UUID, phone: str) -> bool:
    """An administrator writes down another telephone of somebody of her centre; what was known of the old one goes with it.

    Says whether there is such a person. Raises :class:`~store.administration.Taken` when the number is somebody else's.
    """
    if not await phone_is_free(c, phone, person_id):
        raise Taken(f"the telephone number {phone} is somebody else's")
    done = await c.execute(
        "UPDATE person SET phone = %s, phone_verified_at = NULL WHERE id = %s AND centre_id = %s "
        "AND id NOT IN (SELECT person_id FROM resident)",
        [phone, person_id, centre_id],
    )
    if done.rowcount:
        await c.execute(
            "DELETE FROM unreachable WHERE person_id = %s AND channel IN ('sms', 'voice') AND address <> %s",
            [person_id, phone],
        )
    return done.rowcount == 1
