-- When a resident went to hospital: what a protocol is held against before it goes live (alerts/backtest.py).

CREATE TABLE hospital_visit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int NOT NULL REFERENCES resident,
    went_at     timestamptz NOT NULL,
    reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 400),
    noted_by    uuid NOT NULL REFERENCES person,
    noted_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE hospital_visit IS 'as staff noted it; only ever added to';
CREATE INDEX hospital_visit_resident ON hospital_visit (resident_id, went_at DESC);

ALTER TABLE hospital_visit ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON hospital_visit TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY in_care ON hospital_visit FOR SELECT TO hearthwatch_reader
    USING (resident_id = ANY (ARRAY(SELECT residents_in_care())));
REVOKE ALL ON hospital_visit FROM PUBLIC;
GRANT SELECT, INSERT ON hospital_visit TO hearthwatch_service;
GRANT USAGE ON SEQUENCE hospital_visit_id_seq TO hearthwatch_service;
GRANT SELECT ON hospital_visit TO hearthwatch_reader;
