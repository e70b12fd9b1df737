"""numpy columns go to PostgreSQL and come back as they were, as arrays and as the rows of a COPY."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from store.columns import Float8, Int2, Int4, Time, copy_rows, use_columns
from store.postgres import Database, value
from store.readings import utc

pytestmark = pytest.mark.anyio

_LONG_AGO, _FAR_OFF = -2_000_000_000_000_000, 4_000_000_000_000_000


async def test_arrays_come_back_as_they_went(database: Database) -> None:
    rng = np.random.default_rng(4)
    sent = [
        Int2(rng.integers(-(2**15), 2**15, 50).astype(np.int16)),
        Int4(rng.integers(-(2**31), 2**31, 50).astype(np.int32)),
        Float8(np.array([np.inf, -np.inf, np.nan, -0.0, 5e-324, *rng.normal(0, 1e300, 45)])),
        Time(rng.integers(_LONG_AGO, _FAR_OFF, 50).astype("datetime64[us]")),
    ]
    async with database.service() as c, c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute("SELECT %s, %s, %s, %s", sent)
        found = await cursor.fetchone()
    assert found is not None
    for column, came in zip(sent, found, strict=True):
        np.testing.assert_array_equal(column.values, came)


async def test_an_empty_array_is_empty(database: Database) -> None:
    async with database.service() as c, c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute("SELECT cardinality(%s)", [Int4(np.array([], np.int32))])
        assert await cursor.fetchone() == (0,)


async def test_a_copy_puts_each_row_together(database: Database) -> None:
    moments = np.array(["2026-11-24T10:00:00.123457", "1969-12-31T23:59:59.999999"], "datetime64[us]")
    rows = [
        Int4(np.array([1, 2], np.int32)),
        Int2(np.array([-3, 4], np.int16)),
        Time(moments),
        Float8(np.array([1.5, -2.5])),
    ]
    async with database.service() as c:
        await c.execute("CREATE TEMP TABLE t (a int, b smallint, c timestamptz, d float8)")
        async with c.cursor() as cursor, cursor.copy("COPY t FROM STDIN BINARY") as copy:
            await copy.write(copy_rows(rows))
        found = await (await c.execute("SELECT * FROM t ORDER BY a")).fetchall()
    assert found == [(1, -3, utc(moments[0]), 1.5), (2, 4, utc(moments[1]), -2.5)]
    assert found[0][2] == datetime(2026, 11, 24, 10, 0, 0, 123457, UTC)


@given(shapes.arrays(np.int64, st.integers(1, 30), elements=st.integers(_LONG_AGO, _FAR_OFF)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_moment_survives(database: Database, us: np.ndarray) -> None:
    async with database.service() as c, c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute("CREATE TEMP TABLE m AS SELECT unnest(%s) AS at", [Time(us.astype("datetime64[us]"))])
        assert await value(
            c, "SELECT array_agg((extract(epoch FROM at) * 1000000)::bigint ORDER BY at) FROM m"
        ) == sorted(us)
        await c.execute("DROP TABLE m")
