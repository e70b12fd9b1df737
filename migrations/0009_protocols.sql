-- Every protocol that was ever in force or staged, and who decided what about it. A protocol is never changed and a
-- decision never taken back, only answered by another: the grants hold it.

CREATE TABLE protocol (
    version    text PRIMARY KEY,
    digest     text NOT NULL UNIQUE CHECK (digest ~ '^[0-9a-f]{64}$'),
    texts      jsonb NOT NULL CHECK (jsonb_typeof(texts) = 'object'),
    is_shipped boolean NOT NULL,
    staged_at  timestamptz NOT NULL,
    staged_by  text NOT NULL,
    why        text NOT NULL CHECK (why <> '')
);
COMMENT ON COLUMN protocol.digest IS 'SHA-256 of the files in the order of their names, as alerts.protocol computes it';
COMMENT ON COLUMN protocol.texts IS 'TOML by the name of its file';
COMMENT ON COLUMN protocol.is_shipped IS 'it came with a release; nobody at the centre wrote it';

CREATE TABLE protocol_decision (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version    text NOT NULL REFERENCES protocol,
    what       text NOT NULL CHECK (what IN ('activate', 'cancel', 'decline')),
    at         timestamptz CHECK ((what = 'activate') = (at IS NOT NULL)),
    cancels    bigint UNIQUE REFERENCES protocol_decision CHECK ((what = 'cancel') = (cancels IS NOT NULL)),
    decided_at timestamptz NOT NULL,
    decided_by text NOT NULL,
    why        text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN protocol_decision.at IS 'from when on it is in force, until the next one is';

CREATE VIEW protocol_activation AS
    SELECT id, version, at, decided_at, decided_by, why FROM protocol_decision d
    WHERE what = 'activate' AND NOT EXISTS (SELECT 1 FROM protocol_decision x WHERE x.cancels = d.id);
COMMENT ON VIEW protocol_activation IS 'those that stand';

CREATE TRIGGER tell AFTER INSERT ON protocol_decision FOR EACH STATEMENT EXECUTE FUNCTION tell_work();

ALTER TABLE prompt ADD COLUMN protocol text;
COMMENT ON COLUMN prompt.protocol IS 'version of the protocol in whose words she is asked; null of a question from before this was kept';

REVOKE ALL ON protocol, protocol_decision, protocol_activation FROM PUBLIC;
GRANT SELECT, INSERT ON protocol, protocol_decision TO hearthwatch_service;
GRANT SELECT ON protocol_activation TO hearthwatch_service;
GRANT USAGE ON SEQUENCE protocol_decision_id_seq TO hearthwatch_service;
GRANT SELECT ON protocol, protocol_decision, protocol_activation TO hearthwatch_reader;
