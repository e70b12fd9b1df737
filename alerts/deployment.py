"""Protocols as deployments: staged with a reason, brought into force at an instant, never changed afterwards.

The record keeps every protocol (:mod:`store.protocols`). What is in force at a moment follows from the activations
that stand, so every process agrees on it; an alert bears the version that made it and speaks in its words and numbers
however long it stands.

The protocol shipped with a release is registered when that release first runs. A record that knows none takes it at
once; otherwise it waits for somebody to activate or decline it, for an upgrade must not move a threshold by itself,
and the service says that it waits until somebody has decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version as release_of
from types import MappingProxyType
from typing import Final

import structlog

from alerts.parameters import Parameters
from alerts.protocol import SHIPPED, Protocol, ProtocolError, load, parse_all, texts_in
from alerts.rule import JOINED, Audience, Rule
from store import audit, protocols
from store.alerts import AlertRow, Prompt
from store.late_notes import LateNote
from store.postgres import Connection, Database, Unavailable
from store.protocols import Activation, Kept

log = structlog.get_logger(__name__)

JOINED_UNDER: Final = "joined_under"
"""Where the evidence of an alert names the version of the protocol whose rule has joined it."""

_REMIND_EVERY_S: Final = 86_400.0
_RETRY_S: Final = 1.0


class NotPossible(Exception):
    """This cannot be done with a protocol; the message says why, for whoever asked."""


@cache
def shipped() -> Protocol:
    """The protocol that comes with this release."""
    return load()


def release() -> str:
    """Who acts where nobody did: this release."""
    return f"Hearthwatch {release_of('hearthwatch')}"


_parsed: Final[dict[str, Protocol | ProtocolError]] = {}
"""By version, of every record: a version names its texts, and those are never changed."""


async def find(c: Connection, version: str) -> Protocol | None:
    """The protocol of this version, parsed once; ``None`` when the record has none.

    Raises :class:`ProtocolError` when this release cannot read it: its language has changed since it was staged.
    """
    if version not in _parsed:
        kept, texts = await protocols.kept(c, version), await protocols.texts(c, version)
        if kept is None or texts is None:
            return None
        _parsed[version] = parsed = _parse(kept, texts)
        if isinstance(parsed, ProtocolError):
            log.error("protocol_unreadable", version=version, error=str(parsed))
    found = _parsed[version]
    if isinstance(found, ProtocolError):
        raise found.with_traceback(None)
    return found


def _parse(kept: Kept, texts: Mapping[str, str]) -> Protocol | ProtocolError:
    try:
        # The names under which it is in the record outlive a release that would name it otherwise.
        found = replace(parse_all(texts, whole=True), version=kept.version, digest=kept.digest)
        Parameters(found)
    except ProtocolError as error:
        return error
    except Exception as error:
        log.exception("protocol_beyond_the_parser", version=kept.version)
        return ProtocolError(next(iter(texts), kept.version), 1, f"this cannot be judged by: {error}")
    return found


async def in_force(c: Connection, at: datetime) -> Protocol:
    """The protocol by which is judged at ``at``.

    The shipped one where the record has none yet, or one that this release cannot read: that is said loudly
    (:class:`Standing`), and people are watched meanwhile.
    """
    found = await protocols.in_force(c, at)
    return (await _readable(c, found.version) if found else None) or shipped()


async def _readable(c: Connection, version: str) -> Protocol | None:
    try:
        return await find(c, version)
    except ProtocolError:
        return None


async def next_change(c: Connection, after: datetime) -> datetime | None:
    """The first moment later than ``after`` at which another protocol comes into force."""
    found = await protocols.next_after(c, after)
    return found.at if found else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an administrator should know at one moment.

    ``present`` is ``None`` while the record knows no protocol. ``unreadable``: the parser's words, when this release
    cannot read what is in force and judges by the shipped protocol instead. ``coming`` takes effect later. ``waiting``
    is the version that came with this release, when nobody has decided about it.
    """

    present: Activation | None
    unreadable: str
    coming: Activation | None
    waiting: str | None

    @property
    def needs_somebody(self) -> bool:
        """Whether something waits for a person."""
        return bool(self.unreadable or (self.waiting and self.coming is None))


async def standing(c: Connection, now: datetime) -> Standing:
    """How things stand with the protocols."""
    present, unreadable = await protocols.in_force(c, now), ""
    try:
        if present:
            await find(c, present.version)
    except ProtocolError as error:
        unreadable = str(error)
    mine = shipped().version
    waits = present is not None and await protocols.is_undecided(c, mine)
    return Standing(present, unreadable, await protocols.next_after(c, now), mine if waits else None)


async def register_shipped(c: Connection, now: datetime) -> None:
    """Keep the protocol of this release; in a record without any it is in force from now on, otherwise it waits."""
    await protocols.lock(c)
    mine = shipped()
    if await protocols.kept(c, mine.version) is None:
        came = Kept(mine.version, mine.digest, True, now, release(), f"came with {release()}")
        await protocols.add(c, came, texts_in(SHIPPED))
    if await protocols.in_force(c, now) is None:
        await protocols.activate(c, mine.version, now, release(), "the first one here", now)


async def keep_registered(database: Database) -> None:
    """Register this release's protocol as soon as the record answers; then say once a day what waits, until cancelled."""
    while True:
        now = datetime.now(UTC)
        try:
            async with database.service() as c:
                await register_shipped(c, now)
                found = await standing(c, now)
        except Unavailable:
            await asyncio.sleep(_RETRY_S)
            continue
        if found.present:
            log.info("protocol_in_force", version=found.present.version, since=found.present.at.isoformat())
        if found.waiting:
            log.warning(
                "shipped_protocol_waits",
                version=found.waiting,
                hint="'hearthwatch protocol diff' says what it changes; activate it, or decline it",
            )
        await asyncio.sleep(_REMIND_EVERY_S)


async def stage(c: Connection, texts: Mapping[str, str], *, by: str, why: str, now: datetime) -> Protocol:
    """Keep a protocol, checked, without bringing it into force.

    Raises :class:`ProtocolError` where the parser refuses it, :class:`NotPossible` where it is there already.
    """
    staged = parse_all(texts, whole=True)
    if not why.strip():
        raise NotPossible("say why it is staged: whoever activates it reads that")
    await protocols.lock(c)
    if there := await protocols.kept(c, staged.version):
        raise NotPossible(f"{staged.version} is there already, staged by {there.staged_by}: {there.why}")
    await protocols.add(c, Kept(staged.version, staged.digest, False, now, by, why.strip()), texts)
    await audit.record(c, "protocol_staged", version=staged.version, by=by, why=why.strip())
    return staged


async def activate(
    c: Connection, version: str, at: datetime, *, instead_of: str | None, by: str, why: str = "", now: datetime
) -> None:
    """Bring a protocol into force from ``at`` on, in place of ``instead_of``, with which it has been compared.

    Raises :class:`NotPossible` when ``at`` is over, when there is no such protocol or this release cannot read it, and
    when somebody else has decided meanwhile.
    """
    await protocols.lock(c)
    await require(c, version)
    if at < now:
        raise NotPossible(f"{_moment(at)} is over: a protocol comes into force now or later")
    if coming := await protocols.next_after(c, now):
        raise NotPossible(f"{coming.version} comes into force at {_moment(coming.at)}: cancel that first")
    present = await protocols.in_force(c, now)
    if present and present.version == version:
        raise NotPossible(f"{version} is in force already")
    if present and present.version != instead_of:
        raise NotPossible(f"{present.version} has come into force meanwhile: look at the difference to that one first")
    await protocols.activate(c, version, at, by, why, now)
    await audit.record(c, "protocol_activated", version=version, at=at.isoformat(), by=by, why=why)


async def cancel(c: Connection, version: str, *, by: str, why: str = "", now: datetime) -> datetime:
    """Take back an activation that has not taken effect; returns when it would have. Raises :class:`NotPossible`."""
    await protocols.lock(c)
    coming = await protocols.next_after(c, now)
    if coming is None or coming.version != version:
        raise NotPossible(
            f"{version} does not wait to come into force; what is in force is replaced by activating another"
        )
    await protocols.cancel(c, coming, by, why, now)
    await audit.record(c, "protocol_cancelled", version=version, at=coming.at.isoformat(), by=by, why=why)
    return coming.at


async def decline(c: Connection, version: str, *, by: str, why: str, now: datetime) -> None:
    """A protocol that waits is not wanted: nobody is reminded of it any more. Raises :class:`NotPossible`."""
    await protocols.lock(c)
    await require(c, version)
    if not await protocols.is_undecided(c, version):
        raise NotPossible(f"{version} does not wait for a decision")
    await protocols.decline(c, version, by, why, now)
    await audit.record(c, "protocol_declined", version=version, by=by, why=why)


async def require(c: Connection, version: str) -> Protocol:
    """The protocol of this version. Raises :class:`NotPossible` when there is none, or this release cannot read it."""
    if await protocols.kept(c, version) is None:
        raise NotPossible(f"there is no protocol {version}; 'hearthwatch protocol list' names them")
    try:
        found = await find(c, version)
    except ProtocolError as error:
        raise NotPossible(f"this release cannot read {version}: {error}") from error
    assert found is not None, "it is kept"
    return found


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


@dataclass(frozen=True, slots=True)
class Protocols:
    """The protocol in force, and by version those that made what still stands."""

    present: Protocol
    earlier: Mapping[str, Protocol] = field(default_factory=lambda: MappingProxyType({}))

    def rule(self, version: str | None, rule_id: str) -> Rule | None:
        """A rule as it was in that version; as it is now, where that version is not known or cannot be read."""
        return self.earlier.get(version or "", self.present).rule(rule_id)

    def is_present(self, version: str) -> bool:
        """Whether this version is in force."""
        return version == self.present.version

    def sentence(self, row: AlertRow, audience: Audience, language: str) -> str | None:
        """What ``audience`` is told about an alert; ``None`` when nobody knows its rule any more."""
        rule = self.speaker(row)
        return rule.sentence(audience, language, row.evidence) if rule else None

    def speaker(self, row: AlertRow) -> Rule | None:
        """The rule that speaks for an alert: its own, which lets one that has joined speak; one of a later protocol it does not know."""
        own = self.rule(row.protocol, row.rule)
        later = row.evidence.get(JOINED_UNDER)
        return (self.rule(later, str(row.evidence.get(JOINED))) or own) if later else own


async def made_by(c: Connection, present: Protocol, made: Iterable[AlertRow | Prompt | LateNote]) -> Protocols:
    """The protocols in whose words these alerts, questions and notes speak."""
    versions = {version for one in made for version in _versions(one) if version != present.version}
    found = {version: await _readable(c, version) for version in versions}
    return Protocols(present, {version: protocol for version, protocol in found.items() if protocol})


def _versions(made: AlertRow | Prompt | LateNote) -> list[str]:
    later = made.evidence.get(JOINED_UNDER) if isinstance(made, AlertRow) else None
    return [version for version in (made.protocol, later) if version]
