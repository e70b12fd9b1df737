-- What would have been an alarm, and came so late that nobody is called about it: dated, for the doctor to read.

CREATE TABLE late_note (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int NOT NULL REFERENCES resident,
    rule        text NOT NULL,
    protocol    text NOT NULL,
    priority    text NOT NULL CHECK (priority IN ('high', 'medium', 'low')),
    happened_at timestamptz NOT NULL,
    learned_at  timestamptz NOT NULL,
    evidence    jsonb NOT NULL DEFAULT '{}',
    seen_at     timestamptz,
    seen_by     uuid REFERENCES person CHECK ((seen_by IS NULL) = (seen_at IS NULL)),
    UNIQUE (resident_id, rule, happened_at)
);
COMMENT ON TABLE late_note IS 'written by the watch; nothing of it changes but who has seen it, and nothing is taken away';
COMMENT ON COLUMN late_note.protocol IS 'version of the protocol whose rule it is, and in whose words it speaks';
COMMENT ON COLUMN late_note.happened_at IS 'measured time';
COMMENT ON COLUMN late_note.learned_at IS 'when the watch judged it';
CREATE INDEX late_note_unseen ON late_note (resident_id) WHERE seen_at IS NULL;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON late_note FOR EACH ROW EXECUTE FUNCTION tell_alert();

ALTER TABLE late_note ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON late_note TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY in_care ON late_note FOR SELECT TO hearthwatch_reader
    USING (resident_id = ANY (ARRAY(SELECT residents_in_care())));
REVOKE ALL ON late_note FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE (seen_at, seen_by) ON late_note TO hearthwatch_service;
GRANT USAGE ON SEQUENCE late_note_id_seq TO hearthwatch_service;
GRANT SELECT ON late_note TO hearthwatch_reader;
