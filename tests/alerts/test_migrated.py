"""A record of the release before the rota and the policies, with a night's alerts open in it, is taken over and lives on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from alerts import actions, protocol
from alerts.calls import Caller
from store import alerts, messages
from store.migrate import migrate, migrations
from store.postgres import Database, value
from tests.conftest import with_database

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 29, 3, 10, tzinfo=UTC)
RULES = protocol.load()
LINE, LI, CHEN = "+8610555500", "+8613900000002", "+8613900000004"
BEFORE = """
INSERT INTO centre (name_zh, name_en, phone) VALUES ('一', 'One', '+8610555500'), ('二', 'Two', '010-555'), ('三', 'Three', '+8613900000002');
INSERT INTO person (centre_id, name_zh, name_en, phone) VALUES
    (1, '李娜', 'Na Li', '+8613900000002'), (1, '陈静', 'Chen Jing', '+8613900000004'), (1, '王秀英', 'Wang Xiuying', NULL);
INSERT INTO account (person_id, username, password_hash, face)
    SELECT id, lower(replace(name_en, ' ', '_')), '!', 'care_worker' FROM person WHERE phone IS NOT NULL;
INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en)
    SELECT id, 1, '1944-03-02', 'female', '9号楼', 'Bldg 9' FROM person WHERE name_en = 'Wang Xiuying';
INSERT INTO duty (centre_id, person_id, step, starts_at, ends_at)
    SELECT 1, id, CASE name_en WHEN 'Na Li' THEN 1 ELSE 3 END, '2026-11-28', '2026-12-01' FROM person WHERE phone IS NOT NULL;
INSERT INTO alert (resident_id, rule, protocol, priority, kind, state, happened_at, raised_at, reply_code, step, rounds, climb_at)
    VALUES (1, 'help_call', %(rules)s, 'high', 'event', 'notified', %(raised)s, %(raised)s, 12, 1, 1, %(now)s),
           (1, 'bp.severe', %(rules)s, 'medium', 'physiological', 'shelved', %(raised)s, %(raised)s, 13, 1, 0, %(later)s);
UPDATE alert SET shelved_until = climb_at WHERE state = 'shelved';
INSERT INTO alert (resident_id, rule, protocol, priority, kind, state, happened_at, raised_at, step, acknowledged_at, acknowledged_by)
    SELECT 1, 'fall', %(rules)s, 'high', 'event', 'acknowledged', %(raised)s, %(raised)s, 1, %(raised)s, id
    FROM person WHERE name_en = 'Na Li';
INSERT INTO message (alert_id, resident_id, step, person_id, channel, phone, language, body, state, expires_at, provider_sid)
    SELECT 1, 1, 4, id, 'sms', phone, 'zh_Hans', '按铃', 'sent', %(later)s, 'SM1' FROM person WHERE name_en = 'Na Li';
"""


@pytest.fixture
def taken_over(server_dsn: str) -> Iterator[str]:
    """The record after ``hearthwatch migrate``."""
    name = f"old_{uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        dsn = with_database(server_dsn, name)
        migrate(dsn, [one for one in migrations() if one.name < "0014"])
        with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as c:
            raised, later = NOW - timedelta(minutes=8), NOW + timedelta(hours=1)
            c.execute(BEFORE.encode(), {"rules": RULES.version, "now": NOW, "raised": raised, "later": later})
        migrate(dsn)
        yield dsn
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


async def test_what_was_open_goes_on_calling_by_the_rota_that_was_written(taken_over: str) -> None:
    async with Database(taken_over, max_size=2) as database, database.service() as c:
        [row] = await alerts.due_to_climb(c, NOW, 10)
        assert (row.state, row.step, row.rounds, row.call) == ("notifying", 1, 1, 4)
        await Caller(c, NOW, RULES).go_on([row])
        sent = await messages.of_alert(c, row.id)
        assert [(m.address, m.priority) for m in sent] == [(LI, "high"), (CHEN, "high")]
        called = await alerts.alert(c, row.id)
        assert called is not None
        assert (called.state, called.call, called.reply_code) == ("notifying", 5, 12)
        await actions.acknowledge(c, row.id, sent[0].person_id, NOW, "sms")


async def test_what_somebody_had_taken_or_put_aside_stays_so(taken_over: str) -> None:
    async with Database(taken_over, max_size=2) as database, database.service() as c:
        states = {row.rule: row.state for row in await alerts.open_alerts(c)}
        assert states == {"help_call": "notifying", "bp.severe": "shelved", "fall": "acknowledged"}


async def test_a_centres_number_becomes_its_last_line_unless_it_is_none_or_somebodys_own(taken_over: str) -> None:
    async with Database(taken_over, max_size=2) as database, database.service() as c:
        lines = await value(
            c,
            "SELECT array_agg(p.phone ORDER BY c.id) FROM centre c LEFT JOIN person p ON p.id = c.fallback_id WHERE c.id <= 3",
        )
        assert lines == [LINE, None, None]
