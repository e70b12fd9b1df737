-- Homes are set up from the portal: what a gateway says of itself and hears, types of device, users of one cuff, and
-- the administrator's eyes, which see gateways, devices and the residents' names of her own centre and nothing else.

ALTER TABLE gateway
    DROP CONSTRAINT gateway_name_key,
    ADD UNIQUE (centre_id, name),
    ADD look_until timestamptz,
    ADD machine    jsonb NOT NULL DEFAULT '{}',
    ADD troubles   text[] NOT NULL DEFAULT '{}',
    ADD kinds      jsonb NOT NULL DEFAULT '[]',
    ADD found      jsonb NOT NULL DEFAULT '[]',
    ADD found_at   timestamptz;
COMMENT ON COLUMN gateway.look_until IS 'until then it looks for new devices';
COMMENT ON COLUMN gateway.machine IS 'store.gateways.Machine, as it last said';
COMMENT ON COLUMN gateway.troubles IS 'what it says is wrong with itself, English sentences that the pages put into both languages';
COMMENT ON COLUMN gateway.kinds IS 'the kinds of device it can collect from, with their titles: the service knows no others';
COMMENT ON COLUMN gateway.found IS 'what it heard while it looked for new devices, loudest first';

CREATE TABLE device_type (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id    int NOT NULL REFERENCES centre,
    label        text NOT NULL,
    kind         text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
    name_pattern text NOT NULL,
    habits       jsonb NOT NULL DEFAULT '{}',
    UNIQUE (centre_id, label)
);
COMMENT ON COLUMN device_type.name_pattern IS 'the name it advertises, * for anything; capital letters do not matter';
COMMENT ON COLUMN device_type.habits IS 'where it leaves the standard, in the words of devices.habits';

ALTER TABLE device
    DROP CONSTRAINT device_kind_check,
    ADD CONSTRAINT device_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
    ADD name                text,
    ADD kind_zh             text,
    ADD kind_en             text,
    ADD device_type_id      int REFERENCES device_type,
    ADD last_reading_at     timestamptz,
    ADD former_resident_id  int REFERENCES resident,
    ADD moved_at            timestamptz;
COMMENT ON COLUMN device.kind_en IS 'what its gateway calls this kind';
COMMENT ON COLUMN device.moved_at IS 'since then it is this resident''s; what it measured before is the former one''s';

CREATE TABLE device_user (
    device_id   int NOT NULL REFERENCES device,
    user_slot   smallint NOT NULL CHECK (user_slot BETWEEN 0 AND 254),
    resident_id int NOT NULL REFERENCES resident,
    PRIMARY KEY (device_id, user_slot)
);
COMMENT ON TABLE device_user IS 'whose reading it is, by the user button of an instrument that several people use; without a row all are the device''s resident''s';
CREATE INDEX device_user_resident ON device_user (resident_id);

ALTER TABLE device_user ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON device_user TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY related ON device_user FOR SELECT TO hearthwatch_reader
    USING (resident_id = ANY (ARRAY(SELECT visible_residents())));
-- An instrument is seen with everybody who uses it.
ALTER POLICY related ON device USING (
    resident_id = ANY (ARRAY(SELECT visible_residents())) OR id IN (SELECT device_id FROM device_user)
);

-- Definers' rights: whoever asks learns only which centre they themselves administer.
CREATE FUNCTION administered_centre() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.centre_id FROM account a JOIN person p ON p.id = a.person_id
    WHERE a.person_id = current_person() AND a.face = 'administrator' AND a.disabled_at IS NULL
$$;

-- An administrator has no relation to any resident, so the policies show her no row. She comes by these views, whose
-- columns hold no key, no code and nothing about anybody's health.
CREATE VIEW administered_gateway WITH (security_barrier) AS
    SELECT id, centre_id, name, pairing_expires, paired_at, revoked_at, last_seen_at, clock_error_s, outbox_waiting,
           quarantined, version, look_until, machine, troubles, kinds, found, found_at
    FROM gateway WHERE centre_id = (SELECT administered_centre());
CREATE VIEW administered_device WITH (security_barrier) AS
    SELECT d.id, d.address, d.resident_id, d.gateway_id, d.kind, d.manufacturer, d.model, d.serial, d.firmware,
           d.battery_pct, d.battery_at, d.rssi_dbm, d.clock_error_s, d.last_seen_at, d.trouble, d.name, d.kind_zh,
           d.kind_en, d.device_type_id, d.last_reading_at
    FROM device d JOIN resident r ON r.id = d.resident_id
    WHERE r.centre_id = (SELECT administered_centre()) AND d.removed_at IS NULL;
CREATE VIEW administered_device_user WITH (security_barrier) AS
    SELECT u.device_id, u.user_slot, u.resident_id
    FROM device_user u JOIN device d ON d.id = u.device_id JOIN resident r ON r.id = d.resident_id
    WHERE r.centre_id = (SELECT administered_centre());
CREATE VIEW administered_device_type WITH (security_barrier) AS
    SELECT id, label, kind, name_pattern, habits
    FROM device_type WHERE centre_id = (SELECT administered_centre());
CREATE VIEW administered_resident WITH (security_barrier) AS
    SELECT r.id, p.name_zh, p.name_en, r.address_zh, r.address_en
    FROM resident r JOIN person p ON p.id = r.person_id
    WHERE r.centre_id = (SELECT administered_centre()) AND (r.left_at IS NULL OR r.left_at > now());
CREATE VIEW administered_person WITH (security_barrier) AS
    SELECT p.id, p.name_zh, p.name_en, a.face
    FROM person p JOIN account a ON a.person_id = p.id
    WHERE p.centre_id = (SELECT administered_centre()) AND a.face IN ('doctor', 'care_worker', 'family')
      AND a.disabled_at IS NULL;
CREATE VIEW administered_relation WITH (security_barrier) AS
    SELECT l.person_id, l.resident_id, l.kind, p.name_zh, p.name_en
    FROM relation l JOIN resident r ON r.id = l.resident_id JOIN person p ON p.id = l.person_id
    WHERE r.centre_id = (SELECT administered_centre()) AND l.kind <> 'self'
      AND l.valid_from <= now() AND (l.valid_until IS NULL OR l.valid_until > now());

-- Her open pages are told by their centre, when something that they say has changed; ages they renew by themselves.
CREATE FUNCTION tell_centre() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hearthwatch', json_build_object('kind', 'gateway', 'centre_id', NEW.centre_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER UPDATE ON gateway FOR EACH ROW WHEN (
    (OLD.found_at, OLD.look_until, OLD.paired_at, OLD.revoked_at, OLD.troubles)
    IS DISTINCT FROM (NEW.found_at, NEW.look_until, NEW.paired_at, NEW.revoked_at, NEW.troubles)
    OR OLD.last_seen_at IS NULL AND NEW.last_seen_at IS NOT NULL
) EXECUTE FUNCTION tell_centre();

REVOKE ALL ON device_user, device_type, administered_gateway, administered_device, administered_device_user,
    administered_device_type, administered_resident, administered_person, administered_relation FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON device_user, device_type TO hearthwatch_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;
GRANT SELECT ON device_user, administered_gateway, administered_device, administered_device_user,
    administered_device_type, administered_resident, administered_person, administered_relation TO hearthwatch_reader;
GRANT SELECT (name, kind_zh, kind_en, device_type_id, last_reading_at) ON device TO hearthwatch_reader;
COMMENT ON COLUMN reading_quarantine.reason IS 'a code: implausible_value, diastolic_above_systolic, mean_outside_pair, narrow_pulse_pressure, same_time_other_value, unassigned_user, not_judged, gateway_refused:<why>';
