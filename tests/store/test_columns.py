"""numpy columns go to PostgreSQL as arrays and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from store.columns import Float8, Int2, Int4, Time, use_columns
from store.postgres import Database, value

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
