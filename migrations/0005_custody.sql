-- Whose a device was, and behind which gateway, before: what a gateway kept for weeks is filed under who measured it,
-- however often the device has changed hands since, and though it is another gateway's by now.

CREATE TABLE device_past (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id   int NOT NULL REFERENCES device,
    gateway_id  int NOT NULL REFERENCES gateway,
    resident_id int NOT NULL REFERENCES resident,
    users       jsonb NOT NULL DEFAULT '{}',
    until       timestamptz NOT NULL
);
COMMENT ON COLUMN device_past.users IS 'whose each user slot was, as in device_user: {"1": resident_id}';
CREATE INDEX device_past_gateway ON device_past (gateway_id, until);

INSERT INTO device_past (device_id, gateway_id, resident_id, until)
SELECT id, gateway_id, former_resident_id, moved_at FROM device
WHERE former_resident_id IS NOT NULL AND moved_at IS NOT NULL AND gateway_id IS NOT NULL;
INSERT INTO device_past (device_id, gateway_id, resident_id, until)
SELECT id, gateway_id, resident_id, removed_at FROM device WHERE removed_at IS NOT NULL AND gateway_id IS NOT NULL;
ALTER TABLE device DROP former_resident_id, DROP moved_at;

ALTER TABLE device_past ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON device_past TO hearthwatch_service USING (true) WITH CHECK (true);
REVOKE ALL ON device_past FROM PUBLIC;
GRANT SELECT, INSERT ON device_past TO hearthwatch_service;
GRANT USAGE ON SEQUENCE device_past_id_seq TO hearthwatch_service;
