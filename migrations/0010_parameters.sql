-- By what each resident is judged: her own values of the protocol's parameters, her centre's values for a group, and
-- her conditions. Values are only ever added to: the newest row of a name counts and ends the one before it.

CREATE TABLE resident_value (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int NOT NULL REFERENCES resident,
    name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'),
    value       double precision CHECK (value > '-Infinity' AND value < 'Infinity'),
    set_by      uuid REFERENCES person,
    set_at      timestamptz NOT NULL,
    until       timestamptz CHECK (until > set_at),
    why         text NOT NULL CHECK (length(why) <= 400)
);
COMMENT ON TABLE resident_value IS 'only ever added to: what a doctor has set for one resident';
COMMENT ON COLUMN resident_value.name IS 'a parameter of the protocol; what it knows no more is passed over';
COMMENT ON COLUMN resident_value.value IS 'in the unit of the parameter''s metric; null: back to the usual';
COMMENT ON COLUMN resident_value.set_by IS 'null for what was there before it was written down who set it';
CREATE INDEX resident_value_newest ON resident_value (resident_id, name, id DESC);

CREATE TABLE group_value (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id  int NOT NULL REFERENCES centre,
    group_code text NOT NULL,
    name       text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'),
    value      double precision CHECK (value > '-Infinity' AND value < 'Infinity'),
    set_by     uuid REFERENCES person,
    set_at     timestamptz NOT NULL,
    until      timestamptz CHECK (until > set_at),
    why        text NOT NULL CHECK (length(why) <= 400)
);
COMMENT ON TABLE group_value IS 'only ever added to: what a centre has set for all its residents with a condition';
COMMENT ON COLUMN group_value.group_code IS 'as in resident.conditions';
CREATE INDEX group_value_newest ON group_value (centre_id, group_code, name, id DESC);

-- What holds is resident.conditions alone. Its history is written here by the record itself, so that nobody can change
-- the one without the other.
CREATE TABLE condition_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int NOT NULL REFERENCES resident,
    code        text NOT NULL,
    holds       boolean NOT NULL,
    set_by      uuid REFERENCES person,
    set_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE condition_history IS 'only ever added to, by a trigger: hearthwatch.person says who changed resident.conditions';
CREATE INDEX condition_history_resident ON condition_history (resident_id, id DESC);
COMMENT ON COLUMN resident.conditions IS 'codes of groups in the protocol, and others known to the faces; changes are in condition_history';

CREATE FUNCTION note_conditions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    before text[] := '{}';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD.conditions;
    END IF;
    INSERT INTO condition_history (resident_id, code, holds, set_by)
    SELECT NEW.id, code, code = ANY (NEW.conditions), current_person()
    FROM (SELECT unnest(NEW.conditions) UNION SELECT unnest(before)) AS either (code)
    WHERE (code = ANY (NEW.conditions)) <> (code = ANY (before)) ORDER BY code;
    RETURN NULL;
END $$;

INSERT INTO condition_history (resident_id, code, holds, set_at)
SELECT DISTINCT id, code, true, enrolled_at FROM resident, unnest(conditions) AS code;
CREATE TRIGGER note_conditions AFTER INSERT OR UPDATE OF conditions ON resident
FOR EACH ROW EXECUTE FUNCTION note_conditions();

-- A resident's target is the parameter that her rules go by, and nothing else. What differs from what all had is hers.
INSERT INTO resident_value (resident_id, name, value, set_at, why)
SELECT id, name, value, enrolled_at, ''
FROM resident, LATERAL (VALUES
    ('bp.target.systolic_low', target_systolic_low, 100), ('bp.target.systolic', target_systolic_high, 135),
    ('bp.target.diastolic_low', target_diastolic_low, 60), ('bp.target.diastolic', target_diastolic_high, 85)
) AS target (name, value, usual)
WHERE value <> usual ORDER BY id, name;
ALTER TABLE resident
    DROP COLUMN target_systolic_low,
    DROP COLUMN target_systolic_high,
    DROP COLUMN target_diastolic_low,
    DROP COLUMN target_diastolic_high;

-- The watch looks at this number to know whether anybody is to be judged otherwise than before. It grows once in a
-- transaction, and is seen with what made it grow.
CREATE TABLE judging (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL DEFAULT 1,
    tx       xid8 NOT NULL DEFAULT '0'
);
INSERT INTO judging DEFAULT VALUES;

CREATE FUNCTION judged_otherwise() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE judging SET revision = revision + 1, tx = pg_current_xact_id() WHERE tx <> pg_current_xact_id();
    PERFORM pg_notify('hearthwatch', json_build_object('kind', 'judging')::text);
    RETURN NULL;
END $$;
CREATE TRIGGER judged_otherwise AFTER INSERT ON resident_value FOR EACH STATEMENT EXECUTE FUNCTION judged_otherwise();
CREATE TRIGGER judged_otherwise AFTER INSERT ON group_value FOR EACH STATEMENT EXECUTE FUNCTION judged_otherwise();
CREATE TRIGGER judged_otherwise AFTER INSERT OR UPDATE OF conditions, centre_id, left_at ON resident
FOR EACH STATEMENT EXECUTE FUNCTION judged_otherwise();
CREATE TRIGGER judged_otherwise AFTER UPDATE OF time_zone ON centre FOR EACH STATEMENT EXECUTE FUNCTION judged_otherwise();

CREATE TRIGGER tell AFTER INSERT ON resident_value FOR EACH ROW EXECUTE FUNCTION tell_alert();
CREATE TRIGGER tell AFTER INSERT ON condition_history FOR EACH ROW EXECUTE FUNCTION tell_alert();

-- Who set what, and why, is for those in whose care she is. Everybody related to her sees whether a blood pressure is on
-- target, and so needs the target's numbers: this view has those and nothing about how they came to be.
CREATE VIEW newest_value WITH (security_barrier) AS
    SELECT DISTINCT ON (resident_id, name) resident_id, name, value, until FROM resident_value
    WHERE current_user = 'hearthwatch_service'
        OR resident_id = ANY (ARRAY(SELECT residents_in_care()))
        OR name LIKE 'bp.target.%' AND resident_id = ANY (ARRAY(SELECT visible_residents()))
    ORDER BY resident_id, name, id DESC;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['resident_value', 'group_value', 'condition_history'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY service ON %I TO hearthwatch_service USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['resident_value', 'condition_history'] LOOP
        EXECUTE format('CREATE POLICY in_care ON %I FOR SELECT TO hearthwatch_reader
                        USING (resident_id = ANY (ARRAY(SELECT residents_in_care())))', t);
    END LOOP;
END $$;
-- What a centre has set is nothing about anybody: seen by whoever may see a resident of that centre.
CREATE POLICY related ON group_value FOR SELECT TO hearthwatch_reader
    USING (centre_id = ANY (ARRAY(SELECT centre_id FROM resident)));

REVOKE ALL ON resident_value, group_value, condition_history, judging, newest_value FROM PUBLIC;
GRANT SELECT, INSERT ON resident_value, group_value TO hearthwatch_service;
GRANT SELECT ON condition_history, judging, newest_value TO hearthwatch_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;
GRANT SELECT ON resident_value, group_value, condition_history, newest_value TO hearthwatch_reader;
