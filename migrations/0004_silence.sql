-- How each device speaks: what its silence is measured against.

CREATE TABLE device_rhythm (
    device_id   int PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    spoke       bytea NOT NULL,
    newest      timestamptz NOT NULL,
    measures    boolean NOT NULL DEFAULT false,
    heard_since timestamptz,
    told        real NOT NULL DEFAULT 0
);
COMMENT ON COLUMN device_rhythm.spoke IS 'alerts.rhythm: one bit for each third of an hour of the last 28 days in which it spoke';
COMMENT ON COLUMN device_rhythm.newest IS 'when it spoke last; what the bits say of later times is four weeks old';
COMMENT ON COLUMN device_rhythm.measures IS 'it sends measurements, and is silent without them; of others it counts that their gateway hears them';
COMMENT ON COLUMN device_rhythm.heard_since IS 'since when its gateway answers without a pause; null while it does not';
COMMENT ON COLUMN device_rhythm.told IS 'the device_silence last told to the watch';

REVOKE ALL ON device_rhythm FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON device_rhythm TO hearthwatch_service;
