-- Residents are dealt into partitions, and every partition is watched by one worker at a time.
--
-- A worker is alive as long as it renews its lease, by the clock of this database and of no other machine. A partition
-- belongs to whoever stands in its row. Taking it over counts its epoch on; whoever had it before finds that out when
-- it locks the row, as each round does before it writes, and has written nothing.

CREATE TABLE watch_worker (
    id          uuid PRIMARY KEY,
    alive_until timestamptz NOT NULL,
    session     int
) WITH (fillfactor = 50);
COMMENT ON TABLE watch_worker IS 'who watches: one row for a worker, not for each of its partitions, so that a lease is renewed while a round holds them';
COMMENT ON COLUMN watch_worker.session IS 'process number of the session by which it renews its lease, where that is its own';

CREATE TABLE watch_partition (
    number    smallint PRIMARY KEY CHECK (number BETWEEN 0 AND 7),
    owner     uuid,
    epoch     bigint NOT NULL DEFAULT 0,
    tx        xid8 NOT NULL DEFAULT '0',
    seq       bigint NOT NULL DEFAULT 0,
    protocol  text NOT NULL DEFAULT '',
    clock     timestamptz,
    worked_at timestamptz
) WITH (fillfactor = 25);
COMMENT ON TABLE watch_partition IS 'the residents whose number has this remainder by the number of rows; where their watch stands in the feed is committed with what it decided. Rows are never added or removed, or residents would change hands without their states';
COMMENT ON COLUMN watch_partition.epoch IS 'how often it has been taken up';
COMMENT ON COLUMN watch_partition.protocol IS 'digest of the protocol by which it was last judged';
COMMENT ON COLUMN watch_partition.clock IS 'the moment as of which it was last judged';

INSERT INTO watch_partition (number, tx, seq, protocol, clock, worked_at)
SELECT n, coalesce(w.tx, '0'), coalesce(w.seq, 0), coalesce(w.protocol, ''), w.clock, w.worked_at
FROM generate_series(0, 7) n LEFT JOIN watch_state w ON w.name = 'live';

-- The rules core remembers more than it did, in another shape: a row from before says too little to go on from. What
-- that loses is small and errs on the side of calling: open questions are asked again from their own table, an alert
-- that is open takes in whatever raises it anew, and silence counts from now.
DROP TABLE watch_row;
CREATE TABLE watch_row (
    resident_id int PRIMARY KEY REFERENCES resident,
    state       bytea NOT NULL
);
COMMENT ON TABLE watch_row IS 'the rules core''s columns, one row per resident, written only when they change';
DELETE FROM watch_state WHERE name = 'live';
COMMENT ON TABLE watch_state IS 'where each follower of the feed stands that is one alone; the watch itself stands in watch_partition';

REVOKE ALL ON watch_worker, watch_partition, watch_row FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON watch_worker, watch_row TO hearthwatch_service;
GRANT SELECT, UPDATE ON watch_partition TO hearthwatch_service;
