-- What stands open in a whole centre, for the screen that hangs where its staff meet and for the line that goes over every
-- page when nobody answers: who and where, since when, who comes and by when. Nothing about anybody's health: what it is
-- about is read by those who care for her, from the alert itself.
CREATE VIEW centre_alert WITH (security_barrier) AS
    SELECT a.id, a.resident_id, a.priority, a.state, a.call, a.raised_at, a.climb_at, a.exhausted_at, a.acknowledged_at,
           a.attended_at, w.name_zh, w.name_en, r.address_zh, r.address_en, t.name_zh AS taker_zh, t.name_en AS taker_en
    FROM alert a JOIN resident r ON r.id = a.resident_id JOIN person w ON w.id = r.person_id
    LEFT JOIN person t ON t.id = a.acknowledged_by
    WHERE r.centre_id = (SELECT staffed_centre()) AND a.state NOT IN ('resolved', 'expired', 'shelved', 'cancelled')
      AND (a.step > 0 OR a.climb_at IS NOT NULL);

-- Who is called and who comes need not be related to the resident. Among staff they have names; families and residents are
-- told that it is a colleague at the health centre.
CREATE VIEW colleague WITH (security_barrier) AS
    SELECT p.id, p.name_zh, p.name_en FROM person p LEFT JOIN account a ON a.person_id = p.id
    WHERE p.centre_id = (SELECT staffed_centre()) AND coalesce(a.face, '') NOT IN ('family', 'resident')
      AND NOT EXISTS (SELECT 1 FROM relation l WHERE l.person_id = p.id AND l.kind IN ('self', 'family'));
REVOKE ALL ON centre_alert, colleague FROM PUBLIC;
GRANT SELECT ON centre_alert, colleague TO hearthwatch_reader, hearthwatch_service;

-- Whoever is related to the resident hears of every change already. Her centre hears of what concerns all of it.
CREATE FUNCTION tell_wall() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hearthwatch', json_build_object('kind', 'wall', 'centre_id', centre_id)::text)
    FROM resident WHERE id = NEW.resident_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_raised AFTER INSERT ON alert FOR EACH ROW WHEN (NEW.priority = 'high') EXECUTE FUNCTION tell_wall();
CREATE TRIGGER tell_wall AFTER UPDATE ON alert FOR EACH ROW WHEN (
    OLD.exhausted_at IS DISTINCT FROM NEW.exhausted_at
    OR (NEW.priority = 'high' AND (OLD.state, OLD.priority, OLD.climb_at) IS DISTINCT FROM (NEW.state, NEW.priority, NEW.climb_at))
) EXECUTE FUNCTION tell_wall();

-- Whoever of the staff has been called to an alert cares for that resident until it is closed, related or not: she is told who,
-- where and what by the call, and finds on the page what she needs to help.
CREATE FUNCTION called_to_residents() RETURNS SETOF int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 5
AS $$
    -- One look for each open alert, however many messages she has had in her life.
    SELECT DISTINCT a.resident_id FROM alert a JOIN resident r ON r.id = a.resident_id CROSS JOIN LATERAL (
        SELECT FROM message m WHERE m.alert_id = a.id AND m.person_id = current_person() AND m.purpose IN ('alert', 'also')
            AND m.state <> 'cancelled' LIMIT 1
    ) call
    WHERE a.state NOT IN ('resolved', 'expired') AND a.step > 0 AND r.centre_id = staffed_centre()
$$;
REVOKE ALL ON FUNCTION called_to_residents() FROM PUBLIC;
CREATE OR REPLACE FUNCTION visible_residents() RETURNS SETOF int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 50
AS $$
    SELECT resident_id FROM relation
    WHERE person_id = current_person() AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
    UNION SELECT called_to_residents()
$$;
CREATE OR REPLACE FUNCTION residents_in_care() RETURNS SETOF int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 50
AS $$
    SELECT resident_id FROM relation
    WHERE person_id = current_person() AND kind IN ('doctor', 'care_worker', 'supervisor')
      AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
    UNION SELECT called_to_residents()
$$;
