-- Maintenance: while somebody works on a home's equipment its own alarms are held back, for a day at most, and those
-- that still stand at the end are raised then. And what the figures of alarm quality are quick by.

CREATE TABLE maintenance (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int REFERENCES resident,
    gateway_id  int REFERENCES gateway,
    set_by      uuid NOT NULL REFERENCES person,
    set_at      timestamptz NOT NULL,
    until       timestamptz NOT NULL CHECK (until >= set_at AND until <= set_at + interval '24 hours'),
    why         text NOT NULL CHECK (length(why) BETWEEN 1 AND 200),
    ended_by    uuid REFERENCES person,
    CHECK (num_nonnulls(resident_id, gateway_id) = 1)
);
COMMENT ON TABLE maintenance IS 'of all the equipment of a resident, or of a gateway and what is behind it; only technical alarms are held back';
COMMENT ON COLUMN maintenance.until IS 'when it ends, or was ended by ended_by';
CREATE INDEX maintenance_until ON maintenance (until);

CREATE TABLE held_alarm (
    resident_id int NOT NULL REFERENCES resident,
    rule        text NOT NULL,
    protocol    text NOT NULL,
    happened_at timestamptz NOT NULL,
    held_at     timestamptz NOT NULL,
    evidence    jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (resident_id, rule)
);
COMMENT ON TABLE held_alarm IS 'held back by maintenance and not over yet; it goes when it clears, and when it is raised at the end';

-- A device of several homes, or a gateway (its number below zero), is meant by itself; without one all her equipment is.
CREATE FUNCTION is_in_maintenance(who int, device int, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (
        SELECT 1 FROM maintenance m WHERE m.until > at AND m.set_at <= at AND (
            m.resident_id = who
            OR m.gateway_id = -device
            OR m.gateway_id IN (SELECT d.gateway_id FROM device d WHERE d.id = device)
            OR coalesce(device, 0) = 0 AND m.gateway_id IN (
                SELECT d.gateway_id FROM device d WHERE d.removed_at IS NULL
                AND (d.resident_id = who OR d.id IN (SELECT u.device_id FROM device_user u WHERE u.resident_id = who))
            )
        )
    )
$$;

-- Staff see it of whoever is in their care, an administrator of her centre. What staff wrote about somebody's reasons is
-- not for the administrator.
CREATE VIEW known_maintenance WITH (security_barrier) AS
    SELECT m.id, m.resident_id, m.gateway_id, m.set_at, m.until, s.name_zh, s.name_en,
           CASE WHEN m.gateway_id IS NOT NULL OR m.set_by = current_person()
                  OR m.resident_id = ANY (ARRAY(SELECT residents_in_care())) THEN m.why ELSE '' END AS why
    FROM maintenance m JOIN person s ON s.id = m.set_by
    WHERE m.resident_id = ANY (ARRAY(SELECT residents_in_care()))
       OR m.gateway_id = ANY (ARRAY(SELECT d.gateway_id FROM device d WHERE d.removed_at IS NULL
                                    AND d.resident_id = ANY (ARRAY(SELECT residents_in_care()))))
       OR m.resident_id IN (SELECT id FROM resident WHERE centre_id = (SELECT administered_centre()))
       OR m.gateway_id IN (SELECT id FROM gateway WHERE centre_id = (SELECT administered_centre()));

CREATE FUNCTION tell_maintenance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.resident_id IS NOT NULL THEN
        PERFORM pg_notify('hearthwatch', json_build_object('kind', 'maintenance', 'resident_id', NEW.resident_id)::text);
    END IF;
    PERFORM pg_notify('hearthwatch', json_build_object('kind', 'maintenance', 'centre_id', coalesce(
        (SELECT centre_id FROM gateway WHERE id = NEW.gateway_id),
        (SELECT centre_id FROM resident WHERE id = NEW.resident_id)))::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON maintenance FOR EACH ROW EXECUTE FUNCTION tell_maintenance();
CREATE TRIGGER tell AFTER INSERT ON held_alarm FOR EACH ROW EXECUTE FUNCTION tell_alert();

ALTER TABLE maintenance ENABLE ROW LEVEL SECURITY;
ALTER TABLE held_alarm ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON maintenance TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY service ON held_alarm TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY in_care ON held_alarm FOR SELECT TO hearthwatch_reader
    USING (resident_id = ANY (ARRAY(SELECT residents_in_care())));
REVOKE ALL ON maintenance, held_alarm, known_maintenance FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE (until, ended_by) ON maintenance TO hearthwatch_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON held_alarm TO hearthwatch_service;
GRANT USAGE ON SEQUENCE maintenance_id_seq TO hearthwatch_service;
GRANT SELECT ON known_maintenance, held_alarm TO hearthwatch_reader;

-- The figures look at the newest days of all residents at once.
CREATE INDEX alert_raised ON alert (raised_at);
CREATE INDEX alert_event_told ON alert_event (at) INCLUDE (alert_id, kind) WHERE kind IN ('raised_again', 'acknowledged');
CREATE INDEX message_made ON message (created_at);
