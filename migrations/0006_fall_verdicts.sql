-- What staff found when they looked after a fall alert: shown on the pages, and the label for whoever trains on recordings.

CREATE TABLE fall_verdict (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alert,
    resident_id int NOT NULL REFERENCES resident,
    verdict     text NOT NULL CHECK (verdict IN ('fall', 'no_fall', 'unclear')),
    what        text NOT NULL DEFAULT '',
    person_id   uuid NOT NULL REFERENCES person,
    at          timestamptz NOT NULL
);
COMMENT ON TABLE fall_verdict IS 'only ever added to: the newest of an alert counts, an older one was corrected';
COMMENT ON COLUMN fall_verdict.what IS 'a code: of a fall what came of it, of no fall what it was; empty when unclear';
CREATE INDEX fall_verdict_alert ON fall_verdict (alert_id, id DESC);

ALTER TABLE fall_verdict ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON fall_verdict TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY in_care ON fall_verdict FOR SELECT TO hearthwatch_reader
    USING (resident_id = ANY (ARRAY(SELECT residents_in_care())));
REVOKE ALL ON fall_verdict FROM PUBLIC;
GRANT SELECT, INSERT ON fall_verdict TO hearthwatch_service;
GRANT USAGE ON SEQUENCE fall_verdict_id_seq TO hearthwatch_service;
GRANT SELECT ON fall_verdict TO hearthwatch_reader;
