"""The one way to the database: two pools, one for each role, and a listener.

Nobody answers a request as the owner. :meth:`Database.service` sees every resident and is for ingest, rules,
dispatch and sign-in; :meth:`Database.reader` is for the pages and sees only the residents to whom the person
has a care relation, because the database itself says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, LiteralString, Self, TypeVar
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.pq import ConnStatus
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

log = structlog.get_logger(__name__)

Connection = AsyncConnection[tuple[Any, ...]]
Params = Sequence[Any] | Mapping[str, Any] | None
T = TypeVar("T")

CHANNEL: Final = "hearthwatch"
_WAIT_S: Final = 3.0
_IDLE_IN_TRANSACTION_S: Final = 20
"""A forgotten open transaction would stall the watch, which follows only what is older than any of them."""


class Unavailable(Exception):
    """The database cannot be reached just now; whoever asked should keep what they hold and try again."""


async def rows(c: Connection, cls: type[T], sql: LiteralString, params: Params = None) -> list[T]:
    """Every row as a ``cls``, whose fields bear the columns' names."""
    async with c.cursor(row_factory=class_row(cls)) as cursor:
        await cursor.execute(sql, params)
        return await cursor.fetchall()


async def one(c: Connection, cls: type[T], sql: LiteralString, params: Params = None) -> T | None:
    """The first row as a ``cls``, or ``None``."""
    async with c.cursor(row_factory=class_row(cls)) as cursor:
        await cursor.execute(sql, params)
        return await cursor.fetchone()


async def value(c: Connection, sql: LiteralString, params: Params = None) -> Any:
    """The first column of the first row, or ``None`` when there is no row."""
    row = await (await c.execute(sql, params)).fetchone()
    return None if row is None else row[0]


class Database:
    """Pools of connections to one database.

    ``dsn`` is a libpq connection string whose user is a member of the roles. Sessions count in UTC.
    """

    def __init__(self, dsn: str, *, min_size: int = 1, max_size: int = 8) -> None:
        self.dsn = dsn
        self._service = self._pool("hearthwatch_service", min_size, max_size)
        self._reader = self._pool("hearthwatch_reader", min_size, max_size)

    def _pool(self, role: str, min_size: int, max_size: int) -> AsyncConnectionPool[Connection]:
        return AsyncConnectionPool(
            self.dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=_WAIT_S,
            open=False,
            name=role,
            check=_require_open,
            reconnect_timeout=5,
            kwargs={"options": session_options(role), "connect_timeout": 3},
        )

    async def open(self) -> None:
        """Begin to connect. Returns at once: a database that is down now may come back."""
        await self._service.open()
        await self._reader.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._service.close()
        await self._reader.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Connection]:
        """One transaction as the service. Raises :class:`Unavailable` when the database is away."""
        async with _transaction(self._service) as c:
            yield c

    @asynccontextmanager
    async def reader(self, person_id: UUID | None) -> AsyncIterator[Connection]:
        """One read-only transaction as ``person_id``; with ``None`` it sees no resident at all."""
        async with _transaction(self._reader) as c:
            await c.execute(
                "SELECT set_config('transaction_read_only', 'on', true), set_config('hearthwatch.person', %s, true)",
                [str(person_id or "")],
            )
            yield c

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        """What changed, as it changes; after every lost connection ``{"kind": "reconnected"}``.

        Notifications sent while the connection was away are lost, so a listener looks for itself then.
        """
        pause_s = 0.1
        while True:
            try:
                c = await AsyncConnection.connect(
                    self.dsn,
                    autocommit=True,
                    connect_timeout=3,
                    options=session_options("hearthwatch_service"),
                )
                async with c:
                    await c.execute(f"LISTEN {CHANNEL}")
                    pause_s = 0.1
                    yield {"kind": "reconnected"}
                    async for note in c.notifies():
                        yield json.loads(note.payload)
            except psycopg.OperationalError as error:
                log.warning("listener_lost_database", error=str(error).strip(), retry_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 5.0)


class Lifeline:
    """One connection of one's own, for what must not wait until others have given theirs back. Made anew when lost."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._c: Connection | None = None

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Connection]:
        """One transaction as the service; one at a time. Raises :class:`Unavailable` when the database is away."""
        try:
            if self._c is None:
                options = session_options("hearthwatch_service")
                self._c = await AsyncConnection.connect(self.dsn, connect_timeout=3, options=options)
            async with self._c.transaction():
                yield self._c
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            await self.close()
            raise _away(error) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close it; the next transaction makes another."""
        if self._c is not None:
            await self._c.close()
            self._c = None


async def _require_open(c: Connection) -> None:
    """A server that ended has closed its side of the connection: that is seen here, without asking it anything."""
    for _ in range(2):  # the first reads why the server has ended, the second that it has
        c.pgconn.consume_input()
    if c.pgconn.status != ConnStatus.OK:
        raise psycopg.OperationalError("the server closed the connection")


def session_options(role: str) -> str:
    """libpq ``options`` for a session that acts as ``role``."""
    return f"-c role={role} -c timezone=UTC -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_S}s -c jit=off"


@asynccontextmanager
async def part(c: Connection) -> AsyncIterator[None]:
    """A part of a transaction that can fail alone: what it wrote is undone, and the transaction goes on.

    Raises :class:`Unavailable` when it was the database that failed, which ends the transaction too.
    """
    try:
        async with c.transaction():
            yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    return Unavailable(f"the database cannot be reached: {str(error).strip() or type(error).__name__}")


@asynccontextmanager
async def _transaction(pool: AsyncConnectionPool[Connection]) -> AsyncIterator[Connection]:
    try:
        # Begun here and not by the first statement: a nested block is then a savepoint, never a commit of its own.
        async with pool.connection() as c, c.transaction():
            yield c
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise _away(error) from error
