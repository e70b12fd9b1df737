"""Who watches whom: residents dealt into partitions, the workers that hold them, and where each partition stands.

A partition's row is the fence. Its owner locks it before it writes and holds it until the commit; whoever takes it over
changes the row, and so waits for that commit or ends the session that does not get there. All leases are by
``clock_timestamp()`` of the database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import InsufficientPrivilege

from store.feed import Position
from store.postgres import CHANNEL, Connection, rows, value

_END_WITHIN_MS: Final = 300
_IDLE_LEASES: Final = 8
_LONGEST_LEASE: Final = timedelta(minutes=1)
"""Workers may have leases of their own length, up to this."""
_FORGOTTEN_AFTER: Final = timedelta(minutes=1)
_SESSION: Final = "hearthwatch watch "
_BOUND: Final[LiteralString] = (
    "SELECT set_config('application_name', %(session)s, true), "
    "set_config('idle_in_transaction_session_timeout', %(idle)s, true)"
)
"""Puts a worker's name on a transaction, and bounds how long it may stand idle in it.

Whoever is stopped in its midst holds up the others until they miss it and end its session (:func:`end_sessions`); where
they may not, for this long. It is long enough for whoever is only slow.
"""
_LEASES: Final[LiteralString] = """
    SELECT id, until, half, until > clock_timestamp()
        AND (half > clock_timestamp() OR EXISTS (SELECT FROM pg_stat_get_activity(session))) AS is_alive
    FROM (SELECT id, session, until, CASE WHEN session IS NULL THEN until ELSE until - %(lease)s / 2 END AS half
          FROM (SELECT *, greatest(alive_until, CASE WHEN pg_postmaster_start_time() <= clock_timestamp()
                                                THEN pg_postmaster_start_time() + %(lease)s END) AS until
                FROM watch_worker WHERE alive_until <= clock_timestamp() + %(longest)s) l) l
"""
"""A lease that ends later than any can was made while the server's clock was ahead, and says nothing: were it believed,
nobody would be watched until the clock is there again. The same goes for when the database was started."""
_COLUMNS: Final[LiteralString] = "number, epoch, tx::text::bigint AS tx, seq, protocol, clock"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition as its owner finds it: where it stands in the feed, and the moment as of which it was judged.

    ``protocol`` is the digest of the protocol it was last judged by, empty before the first time.
    """

    number: int
    epoch: int
    tx: int
    seq: int
    protocol: str
    clock: datetime | None

    @property
    def place(self) -> Position:
        return Position(self.tx, self.seq)


@dataclass(frozen=True, slots=True)
class Share:
    """Some of the partitions, of ``of`` in all: whose residents they are is said by their numbers alone."""

    numbers: tuple[int, ...]
    of: int

    @property
    def is_everybody(self) -> bool:
        return len(self.numbers) == self.of

    def holds(self, residents: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these residents are in it."""
        return np.isin(residents % self.of, self.numbers)


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a partition, and whether that worker is alive by its lease."""

    number: int
    epoch: int
    owner: UUID | None
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Roll:
    """Every partition's holder, how many workers are alive, and in how many seconds the next other may turn out to be dead."""

    held: list[Holding]
    alive: int
    next_end_s: float | None


async def renew(c: Connection, worker: UUID, lease_s: float, *, by_own_session: bool = False) -> Roll:
    """See who else is there, and renew a worker's lease; ``by_own_session``: this connection is its own and stays open.

    Whoever had such a session and has it no more is dead by the half of its lease: a process that was killed is seen
    at once, one that only lost its connection has time to make another. After a restart of the database nobody is taken
    for dead before a lease's time: nobody could renew.
    """
    params = _bounds(worker, lease_s) | {
        "id": worker,
        "lease": timedelta(seconds=lease_s),
        "longest": _LONGEST_LEASE,
    }
    held = await rows(
        c,
        Holding,
        "WITH w AS (" + _LEASES + ") SELECT p.number, p.epoch, p.owner, coalesce(w.is_alive, false) AS is_alive "
        "FROM watch_partition p LEFT JOIN w ON w.id = p.owner ORDER BY p.tx, p.seq, p.number",
        params,
    )
    others = await (
        await c.execute(
            "WITH w AS (" + _LEASES + ") SELECT count(*)::int, "
            "extract(epoch FROM min(CASE WHEN half > clock_timestamp() THEN half ELSE until END) - clock_timestamp())::float8 "
            "FROM w WHERE is_alive AND id <> %(id)s",
            params,
        )
    ).fetchone()
    assert others is not None, "an aggregate gives a row"
    await c.execute(
        "WITH bound AS MATERIALIZED (" + _BOUND + ") INSERT INTO watch_worker (id, alive_until, session) "
        "SELECT %(id)s, clock_timestamp() + %(lease)s, CASE WHEN %(own)s THEN pg_backend_pid() END FROM bound "
        "ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until, session = excluded.session",
        params | {"own": by_own_session},
    )
    return Roll(held, 1 + others[0], others[1])


async def claim(c: Connection, worker: UUID, free: Sequence[Holding], most: int) -> list[int]:
    """Take over up to ``most`` of these, in this order; those that somebody is writing to just now are passed over."""
    cursor = await c.execute(
        """
        WITH taken AS (
            SELECT p.number FROM watch_partition p
            JOIN unnest(%s::smallint[], %s::bigint[]) WITH ORDINALITY AS f (number, epoch, nth)
                ON p.number = f.number AND p.epoch = f.epoch
            ORDER BY f.nth LIMIT %s FOR UPDATE OF p SKIP LOCKED
        )
        UPDATE watch_partition p SET owner = %s, epoch = p.epoch + 1 FROM taken WHERE p.number = taken.number
        RETURNING p.number
        """,
        [[h.number for h in free], [h.epoch for h in free], most, worker],
    )
    return [row[0] for row in await cursor.fetchall()]


async def end_sessions(c: Connection, workers: Collection[UUID]) -> int:
    """End the sessions in which these workers have a transaction open; returns how many there were.

    As the user who signed in, who may end sessions of the same user: the role it acts as may not. Where users differ,
    the session's own bound ends it a little later.
    """
    try:
        async with c.transaction():
            await c.execute("SET LOCAL ROLE NONE")
            ended = await value(
                c,
                "SELECT count(*) FROM (SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity "
                "WHERE application_name = ANY(%s) AND datname = current_database() AND pid <> pg_backend_pid() OFFSET 0) ended",
                [_END_WITHIN_MS, [_session(worker) for worker in workers]],
            )
            await c.execute("SET LOCAL ROLE hearthwatch_service")
    except InsufficientPrivilege:
        return 0
    return int(ended)


async def forget_dead(c: Connection) -> None:
    """Strike off workers that have been dead for long, and those from a time that has not come yet."""
    await c.execute(
        "DELETE FROM watch_worker WHERE alive_until NOT BETWEEN clock_timestamp() - %(long)s AND clock_timestamp() + %(long)s",
        {"long": _FORGOTTEN_AFTER},
    )


async def release(c: Connection, worker: UUID, numbers: Collection[int] | None = None) -> None:
    """Give up these partitions, or all and the lease with them, and tell the others at once."""
    await c.execute(
        "UPDATE watch_partition SET owner = NULL WHERE owner = %s AND (%s::smallint[] IS NULL OR number = ANY(%s))",
        [worker, None if numbers is None else list(numbers), [] if numbers is None else list(numbers)],
    )
    if numbers is None:
        await c.execute("DELETE FROM watch_worker WHERE id = %s", [worker])
    await c.execute('SELECT pg_notify(%s, \'{"kind": "watch_partition"}\')', [CHANNEL])


async def count(c: Connection) -> int:
    """Into how many partitions residents are dealt."""
    return int(await value(c, "SELECT count(*) FROM watch_partition"))


async def owned(c: Connection, worker: UUID) -> list[Partition]:
    """A worker's partitions, those that lag furthest first."""
    return await rows(
        c,
        Partition,
        "SELECT " + _COLUMNS + " FROM watch_partition WHERE owner = %s ORDER BY tx, seq, number",
        [worker],
    )


async def hold(c: Connection, worker: UUID, lease_s: float, partitions: Sequence[Partition]) -> bool:
    """Lock these for the transaction; says whether they still are as they were found. If not, nothing may be written."""
    found = await rows(
        c,
        Partition,
        "WITH bound AS MATERIALIZED (" + _BOUND + ") SELECT " + _COLUMNS + " FROM bound, watch_partition "
        "WHERE owner = %(worker)s AND number = ANY(%(numbers)s) ORDER BY number FOR UPDATE OF watch_partition",
        _bounds(worker, lease_s) | {"worker": worker, "numbers": [p.number for p in partitions]},
    )
    return sorted(found, key=lambda p: p.number) == sorted(partitions, key=lambda p: p.number)


async def save(c: Connection, numbers: Collection[int], place: Position, protocol: str, clock: datetime) -> None:
    """Commit a place together with whatever else this transaction decided. The partitions are held."""
    await c.execute(
        "UPDATE watch_partition SET tx = %s::text::xid8, seq = %s, protocol = %s, clock = %s, worked_at = clock_timestamp() "
        "WHERE number = ANY(%s)",
        [str(place.tx), place.seq, protocol, clock, list(numbers)],
    )


async def residents(c: Connection, share: Share) -> list[int]:
    """Every resident of these partitions who has not left."""
    cursor = await c.execute(
        "SELECT id FROM resident WHERE (left_at IS NULL OR left_at > now()) AND id %% %s = ANY(%s) ORDER BY id",
        [share.of, list(share.numbers)],
    )
    return [row[0] for row in await cursor.fetchall()]


async def load_rows(c: Connection, share: Share) -> dict[int, bytes]:
    """The rules core's saved row of each resident of these partitions."""
    async with c.cursor(binary=True) as cursor:
        await cursor.execute(
            "SELECT resident_id, state FROM watch_row WHERE resident_id %% %s = ANY(%s)",
            [share.of, list(share.numbers)],
        )
        return dict(await cursor.fetchall())


async def save_rows(c: Connection, changed: Mapping[int, bytes]) -> None:
    """Keep these rows. Their partitions are held."""
    if not changed:
        return
    await c.execute(
        "INSERT INTO watch_row (resident_id, state) SELECT * FROM unnest(%s::int[], %s::bytea[]) "
        "ON CONFLICT (resident_id) DO UPDATE SET state = excluded.state",
        [list(changed), list(changed.values())],
    )


async def forget_row(c: Connection, resident_id: int) -> None:
    """Let a resident begin anew."""
    await c.execute("DELETE FROM watch_row WHERE resident_id = %s", [resident_id])


def _bounds(worker: UUID, lease_s: float) -> dict[str, Any]:
    return {"session": _session(worker), "idle": f"{_IDLE_LEASES * 1000 * lease_s:.0f}ms"}


def _session(worker: UUID) -> str:
    return f"{_SESSION}{worker}"
