-- Who is on duty: areas, rosters with repeating shifts, rotations, changes of single days, holidays, absences. It takes the
-- place of the table duty, whose rows become changes of three rosters.

CREATE TABLE area (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id  int NOT NULL REFERENCES centre,
    name_zh    text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 100),
    name_en    text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 100),
    within     int REFERENCES area CHECK (within <> id),
    removed_at timestamptz
);
COMMENT ON COLUMN area.within IS 'the courtyard a building stands in; null for the outermost';
ALTER TABLE resident ADD COLUMN area_id int REFERENCES area;

CREATE TABLE roster (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id  int NOT NULL REFERENCES centre,
    role       text NOT NULL CHECK (role IN ('care_worker', 'volunteer', 'building_leader', 'doctor_on_call', 'supervisor')),
    line       smallint NOT NULL DEFAULT 1 CHECK (line BETWEEN 1 AND 5),
    area_id    int REFERENCES area,
    name_zh    text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 100),
    name_en    text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 100),
    must_cover boolean NOT NULL DEFAULT true,
    removed_at timestamptz
);
COMMENT ON COLUMN roster.line IS '1 is called first, 2 when nobody of 1 takes it, and so on; several rosters may share a line';
COMMENT ON COLUMN roster.area_id IS 'for residents of this area and of those within it; null: for the whole centre';
COMMENT ON COLUMN roster.must_cover IS 'an hour at which nobody is on duty is a gap that is warned about';
CREATE INDEX roster_centre ON roster (centre_id) WHERE removed_at IS NULL;

CREATE TABLE rotation (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roster_id  int NOT NULL REFERENCES roster,
    name_zh    text NOT NULL,
    name_en    text NOT NULL,
    every      text NOT NULL CHECK (every IN ('hours', 'days', 'weeks', 'months')),
    length     smallint NOT NULL CHECK (length BETWEEN 1 AND 366),
    starts_at  timestamp NOT NULL,
    removed_at timestamptz
);
COMMENT ON COLUMN rotation.starts_at IS 'local time of the centre at which the first person''s first turn began; later handovers fall on the same time of day (hours: so many hours later)';
CREATE TABLE rotation_turn (
    rotation_id int NOT NULL REFERENCES rotation ON DELETE CASCADE,
    place       smallint NOT NULL,
    person_id   uuid NOT NULL REFERENCES person,
    PRIMARY KEY (rotation_id, place)
);

CREATE TABLE shift (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roster_id   int NOT NULL REFERENCES roster,
    weekdays    smallint[] NOT NULL CHECK (weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7]::smallint[] AND cardinality(weekdays) > 0),
    starts      time NOT NULL,
    ends        time NOT NULL,
    valid_from  date NOT NULL,
    valid_until date CHECK (valid_until >= valid_from),
    holidays    text NOT NULL DEFAULT 'also' CHECK (holidays IN ('also', 'only', 'not')),
    person_id   uuid REFERENCES person,
    rotation_id int REFERENCES rotation,
    removed_at  timestamptz,
    CHECK (num_nonnulls(person_id, rotation_id) = 1)
);
COMMENT ON COLUMN shift.weekdays IS 'ISO weekdays (1 Monday) on which it begins, in local time of the centre';
COMMENT ON COLUMN shift.ends IS 'local time; not after starts means on the next day (equal: 24 hours)';
COMMENT ON COLUMN shift.valid_until IS 'the last day on which it begins';
COMMENT ON COLUMN shift.holidays IS 'also: holidays are days like others; only: instead of its weekdays it begins on every holiday; not: it does not begin on holidays';

CREATE TABLE holiday (
    centre_id int NOT NULL REFERENCES centre,
    day       date NOT NULL,
    name_zh   text NOT NULL,
    name_en   text NOT NULL,
    PRIMARY KEY (centre_id, day)
);

CREATE TABLE duty_swap (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roster_id   int NOT NULL REFERENCES roster,
    asked_by    uuid NOT NULL REFERENCES person,
    asked_of    uuid NOT NULL REFERENCES person CHECK (asked_of <> asked_by),
    gives_from  timestamptz NOT NULL,
    gives_until timestamptz NOT NULL CHECK (gives_until > gives_from),
    takes_from  timestamptz,
    takes_until timestamptz CHECK (takes_until > takes_from),
    asked_at    timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'accepted', 'declined', 'withdrawn')),
    settled_at  timestamptz,
    settled_by  uuid REFERENCES person,
    CHECK (num_nonnulls(takes_from, takes_until) <> 1)
);
COMMENT ON TABLE duty_swap IS 'one person asks another to take her hours, for hours of hers or for nothing; accepted it makes duty changes';

CREATE TABLE duty_change (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roster_id    int NOT NULL REFERENCES roster,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL CHECK (ends_at > starts_at),
    person_id    uuid REFERENCES person,
    instead_of   uuid REFERENCES person,
    why          text NOT NULL DEFAULT '' CHECK (length(why) <= 200),
    swap_id      bigint REFERENCES duty_swap,
    made_by      uuid REFERENCES person,
    made_at      timestamptz NOT NULL DEFAULT now(),
    cancelled_at timestamptz,
    cancelled_by uuid REFERENCES person,
    CHECK (num_nonnulls(person_id, instead_of) > 0 AND person_id IS DISTINCT FROM instead_of)
);
COMMENT ON TABLE duty_change IS 'person_id alone: she is added; instead_of alone: she is taken off; both: one for the other. The newest has the last word';
CREATE INDEX duty_change_time ON duty_change (roster_id, ends_at) WHERE cancelled_at IS NULL;

CREATE TABLE absence (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES person,
    kind      text NOT NULL CHECK (kind IN ('sick', 'leave', 'on_visit')),
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz CHECK (ends_at > starts_at),
    said_by   uuid REFERENCES person,
    said_at   timestamptz NOT NULL DEFAULT now(),
    alert_id  bigint REFERENCES alert
);
COMMENT ON COLUMN absence.ends_at IS 'null: until she says that she is back';
COMMENT ON COLUMN absence.alert_id IS 'the alert she is on a visit for, if it is one';
CREATE INDEX absence_person ON absence (person_id, starts_at);

CREATE TABLE staff (
    person_id uuid PRIMARY KEY REFERENCES person ON DELETE CASCADE,
    skills    text[] NOT NULL DEFAULT '{}',
    languages text[] NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN staff.skills IS 'codes: first_aid, lifting, nursing, dementia, driver, keys';
COMMENT ON COLUMN staff.languages IS 'what she speaks with people, in BCP 47: zh-CN, en, yue, wuu';

-- The rota as it was written so far.
INSERT INTO roster (centre_id, role, line, name_zh, name_en)
SELECT DISTINCT d.centre_id, CASE WHEN d.step = 3 THEN 'supervisor' ELSE 'care_worker' END, CASE WHEN d.step = 2 THEN 2 ELSE 1 END,
       (ARRAY['一线值班', '二线值班', '主管值班'])[d.step], (ARRAY['First called', 'Second called', 'Supervisor'])[d.step]
FROM duty d;
INSERT INTO duty_change (roster_id, starts_at, ends_at, person_id)
SELECT r.id, d.starts_at, d.ends_at, d.person_id FROM duty d JOIN roster r ON r.centre_id = d.centre_id
    AND r.role = CASE WHEN d.step = 3 THEN 'supervisor' ELSE 'care_worker' END AND r.line = CASE WHEN d.step = 2 THEN 2 ELSE 1 END;
DROP TABLE duty;

-- Staff and administrators see the rota of their own centre; what somebody is absent for is seen by them too, for they
-- plan around it. Families and residents see none of it.
CREATE FUNCTION staffed_centre() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.centre_id FROM person p JOIN account a ON a.person_id = p.id
    WHERE p.id = current_person() AND a.face IN ('doctor', 'care_worker', 'administrator') AND a.disabled_at IS NULL
$$;
CREATE FUNCTION staff_of_my_centre() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 50
AS $$ SELECT p.id FROM person p WHERE p.centre_id = staffed_centre() $$;
REVOKE ALL ON FUNCTION staffed_centre(), staff_of_my_centre() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION staffed_centre(), staff_of_my_centre() TO hearthwatch_reader, hearthwatch_service;

-- Names of those on a rota, without their telephones, for a colleague who is related to no resident of theirs.
CREATE VIEW rota_person WITH (security_barrier) AS
    SELECT p.id, p.name_zh, p.name_en, coalesce(a.face, '') AS face
    FROM person p LEFT JOIN account a ON a.person_id = p.id
    WHERE p.centre_id = (SELECT staffed_centre()) AND (
        (a.face IN ('doctor', 'care_worker') AND a.disabled_at IS NULL)
        OR p.id IN (SELECT person_id FROM shift WHERE person_id IS NOT NULL)
        OR p.id IN (SELECT person_id FROM rotation_turn)
        OR p.id IN (SELECT person_id FROM duty_change WHERE person_id IS NOT NULL)
        OR p.id IN (SELECT person_id FROM staff)
    );

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['area', 'roster', 'rotation', 'rotation_turn', 'shift', 'holiday', 'duty_swap', 'duty_change',
                             'absence', 'staff'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY service ON %I TO hearthwatch_service USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['area', 'roster', 'holiday'] LOOP
        EXECUTE format('CREATE POLICY staffed ON %I FOR SELECT TO hearthwatch_reader USING (centre_id = (SELECT staffed_centre()))', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['rotation', 'shift', 'duty_swap', 'duty_change'] LOOP
        EXECUTE format('CREATE POLICY staffed ON %I FOR SELECT TO hearthwatch_reader
                        USING (roster_id IN (SELECT id FROM roster WHERE centre_id = (SELECT staffed_centre())))', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['absence', 'staff'] LOOP
        EXECUTE format('CREATE POLICY staffed ON %I FOR SELECT TO hearthwatch_reader
                        USING (person_id IN (SELECT staff_of_my_centre()))', t);
    END LOOP;
END $$;
CREATE POLICY staffed ON rotation_turn FOR SELECT TO hearthwatch_reader USING (rotation_id IN (SELECT id FROM rotation));
CREATE POLICY own ON area FOR SELECT TO hearthwatch_reader USING (
    id IN (SELECT area_id FROM resident WHERE id = ANY (ARRAY(SELECT visible_residents()))));
REVOKE ALL ON area, roster, rotation, rotation_turn, shift, holiday, duty_swap, duty_change, absence, staff, rota_person FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON area, roster, rotation, rotation_turn, shift, holiday, duty_swap, duty_change, absence, staff
    TO hearthwatch_service;
GRANT SELECT ON area, roster, rotation, rotation_turn, shift, holiday, duty_swap, duty_change, absence, staff, rota_person
    TO hearthwatch_reader;
GRANT SELECT ON rota_person TO hearthwatch_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;

CREATE FUNCTION tell_rota() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hearthwatch', json_build_object('kind', 'rota')::text);
    RETURN NULL;
END $$;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['roster', 'rotation', 'rotation_turn', 'shift', 'holiday', 'duty_swap', 'duty_change', 'absence'] LOOP
        EXECUTE format('CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION tell_rota()', t);
    END LOOP;
END $$;
