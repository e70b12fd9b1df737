-- Raw acceleration around an event, as a wearable felt it: for whoever asks why a fall was or was not believed.

CREATE TABLE recording (
    device_id   int NOT NULL REFERENCES device,
    started_at  timestamptz NOT NULL,
    resident_id int NOT NULL REFERENCES resident,
    gateway_id  int NOT NULL REFERENCES gateway,
    received_at timestamptz NOT NULL,
    rate_hz     double precision NOT NULL CHECK (rate_hz > 0),
    reason      text NOT NULL,
    samples     bytea NOT NULL CHECK (length(samples) > 0 AND length(samples) % 6 = 0),
    PRIMARY KEY (device_id, started_at)
);
COMMENT ON COLUMN recording.started_at IS 'when the first sample was taken';
COMMENT ON COLUMN recording.reason IS 'the metric around which it was cut, such as fall';
COMMENT ON COLUMN recording.samples IS 'x, y, z of one sample after the other, in mg: 16 bits each, little-endian';
CREATE INDEX recording_resident ON recording (resident_id, started_at);

ALTER TABLE recording ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON recording TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY related ON recording FOR SELECT TO hearthwatch_reader
    USING (resident_id = ANY (ARRAY(SELECT visible_residents())));
REVOKE ALL ON recording FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON recording TO hearthwatch_service;
GRANT SELECT ON recording TO hearthwatch_reader;
