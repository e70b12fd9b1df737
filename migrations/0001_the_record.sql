-- The record's first shape. Applied as the owner; forward only.
--
-- Three roles stand between a connection and a resident's data:
--   hearthwatch_owner    owns everything, migrates, is never used to answer a request
--   hearthwatch_service  ingest, rules, dispatch: sees every resident, owns nothing
--   hearthwatch_reader   the portals: sees the residents to whom hearthwatch.person has a care relation
-- A reader without an identity sees no row at all.

CREATE FUNCTION current_person() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('hearthwatch.person', true), '')::uuid $$;

CREATE TABLE centre (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name_zh    text NOT NULL,
    name_en    text NOT NULL,
    phone      text,
    time_zone  text NOT NULL DEFAULT 'Asia/Shanghai'
);

CREATE TABLE person (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    centre_id  int NOT NULL REFERENCES centre,
    name_zh    text NOT NULL,
    name_en    text NOT NULL,
    phone      text CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    language   text NOT NULL DEFAULT 'zh_Hans' CHECK (language IN ('zh_Hans', 'en')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX person_phone ON person (phone) WHERE phone IS NOT NULL;
COMMENT ON COLUMN person.phone IS 'E.164; one person to a number, so that a reply by SMS says who replied';

CREATE TABLE account (
    person_id     uuid PRIMARY KEY REFERENCES person ON DELETE CASCADE,
    username      text NOT NULL UNIQUE CHECK (username = lower(username)),
    password_hash text NOT NULL,
    face          text NOT NULL CHECK (face IN ('doctor', 'care_worker', 'family', 'resident', 'administrator')),
    disabled_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN account.password_hash IS 'argon2id in PHC form';

CREATE TABLE session (
    token_hash   bytea PRIMARY KEY,
    person_id    uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    csrf_token   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
COMMENT ON COLUMN session.token_hash IS 'SHA-256 of the cookie: a stolen table opens no session';
CREATE INDEX session_person ON session (person_id);

CREATE TABLE sign_in_attempt (
    username text NOT NULL,
    address  text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sign_in_attempt IS 'failed sign-ins of the last quarter of an hour, to slow down guessing';
CREATE INDEX sign_in_attempt_username ON sign_in_attempt (username, at);
CREATE INDEX sign_in_attempt_address ON sign_in_attempt (address, at);

CREATE TABLE resident (
    id             int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id      uuid NOT NULL UNIQUE REFERENCES person,
    centre_id      int NOT NULL REFERENCES centre,
    born           date NOT NULL,
    sex            text NOT NULL CHECK (sex IN ('female', 'male', 'other', 'unknown')),
    address_zh     text NOT NULL,
    address_en     text NOT NULL,
    conditions     text[] NOT NULL DEFAULT '{}',
    target_systolic_low   smallint NOT NULL DEFAULT 100,
    target_systolic_high  smallint NOT NULL DEFAULT 135,
    target_diastolic_low  smallint NOT NULL DEFAULT 60,
    target_diastolic_high smallint NOT NULL DEFAULT 85,
    enrolled_at    timestamptz NOT NULL DEFAULT now(),
    left_at        timestamptz
);
COMMENT ON COLUMN resident.conditions IS 'codes known to the faces: hypertension, diabetes, heart_failure, copd, atrial_fibrillation, stroke, frail';

CREATE TABLE relation (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES person,
    resident_id int NOT NULL REFERENCES resident,
    kind        text NOT NULL CHECK (kind IN ('self', 'family', 'doctor', 'care_worker', 'supervisor')),
    called_zh   text,
    called_en   text,
    valid_from  timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz,
    granted_by  uuid REFERENCES person,
    UNIQUE (person_id, resident_id, kind)
);
COMMENT ON COLUMN relation.called_en IS 'what a relative calls the resident: Mum, Grandpa';
CREATE INDEX relation_resident ON relation (resident_id);

-- Definers' rights: whoever asks learns only of the residents to whom they themselves are related.
CREATE FUNCTION visible_residents() RETURNS SETOF int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 50
AS $$
    SELECT DISTINCT resident_id FROM relation
    WHERE person_id = current_person() AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
$$;
CREATE FUNCTION residents_in_care() RETURNS SETOF int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 50
AS $$
    SELECT DISTINCT resident_id FROM relation
    WHERE person_id = current_person() AND kind IN ('doctor', 'care_worker', 'supervisor')
      AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
$$;

CREATE TABLE gateway (
    id              int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id       int NOT NULL REFERENCES centre,
    name            text NOT NULL UNIQUE,
    key_hash        bytea UNIQUE,
    pairing_hash    bytea UNIQUE,
    pairing_expires timestamptz,
    paired_at       timestamptz,
    revoked_at      timestamptz,
    last_seen_at    timestamptz,
    clock_error_s   double precision,
    outbox_waiting  int,
    quarantined     int,
    version         text
);
COMMENT ON COLUMN gateway.key_hash IS 'SHA-256 of the bearer key; null until paired';
COMMENT ON COLUMN gateway.pairing_hash IS 'SHA-256 of a one-time code; null once used';

CREATE TABLE device (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address       text NOT NULL UNIQUE CHECK (address = upper(address)),
    resident_id   int NOT NULL REFERENCES resident,
    gateway_id    int REFERENCES gateway,
    kind          text NOT NULL CHECK (kind IN ('blood_pressure', 'oximeter', 'wearable', 'help_button', 'thermometer', 'scale', 'glucose_meter')),
    manufacturer  text,
    model         text,
    serial        text,
    firmware      text,
    battery_pct   smallint,
    battery_at    timestamptz,
    rssi_dbm      smallint,
    clock_error_s double precision,
    last_seen_at  timestamptz,
    trouble       text,
    bindkey       text CHECK (bindkey ~ '^[0-9a-f]{32}$'),
    removed_at    timestamptz
);
COMMENT ON COLUMN device.bindkey IS 'key of an encrypting broadcaster (BTHome v2): for its gateway alone, no page may read it';
COMMENT ON COLUMN device.trouble IS 'what its gateway says is wrong, one English sentence that the pages put into both languages; null when well';
CREATE INDEX device_resident ON device (resident_id);

-- user_slot 255 is the Blood Pressure Service's own word for an unknown user. The key's index also holds what decides
-- when a reading counts, so a page is answered from it alone: 90 days of one resident lie in 20 of its blocks and in
-- 1,000 of the table's.
CREATE TABLE reading (
    resident_id  int NOT NULL,
    metric       smallint NOT NULL,
    measured_at  timestamptz NOT NULL,
    device_id    int NOT NULL,
    value        double precision NOT NULL,
    collected_at timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    quality      int NOT NULL DEFAULT 0,
    gateway_id   int NOT NULL,
    user_slot    smallint NOT NULL DEFAULT 255,
    PRIMARY KEY (resident_id, metric, measured_at, device_id) INCLUDE (value, quality, collected_at)
);
COMMENT ON COLUMN reading.quality IS 'bits of devices.readings.Quality';

CREATE TABLE event_detail (
    resident_id int NOT NULL,
    metric      smallint NOT NULL,
    measured_at timestamptz NOT NULL,
    device_id   int NOT NULL,
    detail      jsonb NOT NULL,
    PRIMARY KEY (resident_id, metric, measured_at, device_id)
);

-- When a reading counts as happening: as measured, unless the device's clock cannot be believed; then as
-- collected if the clock had just been set, else never (null: stored, shown as "time unknown", not judged).
CREATE FUNCTION happened_at(measured_at timestamptz, collected_at timestamptz, quality int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN quality & 1 = 0 THEN measured_at WHEN quality & 2 <> 0 THEN collected_at END $$;

-- Row-level security does not reach the chunks of a hypertable, so readers come by this view alone. Here and in the
-- policies below the guard is an array, computed once for a query: IN (SELECT ...) may be planned as a semi-join that
-- calls it for every row (for a doctor with 200 residents, 30 daily means of each took 5 s and take 0.1 s).
CREATE VIEW resident_reading WITH (security_barrier) AS
    SELECT resident_id, metric, measured_at, device_id, value, collected_at, received_at, quality, user_slot,
           happened_at(measured_at, collected_at, quality) AS at
    FROM reading WHERE resident_id = ANY (ARRAY(SELECT visible_residents()));
CREATE VIEW resident_event_detail WITH (security_barrier) AS
    SELECT * FROM event_detail WHERE resident_id = ANY (ARRAY(SELECT visible_residents()));

CREATE TABLE latest_reading (
    resident_id  int NOT NULL,
    metric       smallint NOT NULL,
    at           timestamptz NOT NULL,
    measured_at  timestamptz NOT NULL,
    value        double precision NOT NULL,
    quality      int NOT NULL,
    device_id    int NOT NULL,
    PRIMARY KEY (resident_id, metric)
);
COMMENT ON TABLE latest_reading IS 'newest reading of each metric whose time is believed; kept by the watch';

CREATE TABLE reading_quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    gateway_id  int REFERENCES gateway,
    resident_id int REFERENCES resident,
    device      text NOT NULL,
    metric      text NOT NULL,
    value       double precision,
    measured_at timestamptz,
    collected_at timestamptz,
    reason      text NOT NULL,
    raw         jsonb,
    UNIQUE NULLS NOT DISTINCT (device, metric, measured_at, value)
);
COMMENT ON COLUMN reading_quarantine.reason IS 'a code: implausible_value, diastolic_above_systolic, mean_outside_pair, narrow_pulse_pressure, gateway_refused:<why>';
CREATE INDEX reading_quarantine_resident ON reading_quarantine (resident_id, received_at);

-- What was accepted, in batches, for the watch to follow. A plain sequence is not safe to follow (a later
-- number may commit first); (tx, seq) below the oldest running transaction is. Its columns are packed numbers, read
-- back once within a second: compressing them would cost a fifth of ingest and save little.
CREATE TABLE feed (
    tx          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq         bigint GENERATED ALWAYS AS IDENTITY,
    received_at timestamptz NOT NULL,
    resident_id int[] STORAGE EXTERNAL NOT NULL,
    metric      smallint[] STORAGE EXTERNAL NOT NULL,
    at          timestamptz[] STORAGE EXTERNAL NOT NULL,
    measured_at timestamptz[] STORAGE EXTERNAL NOT NULL,
    value       double precision[] STORAGE EXTERNAL NOT NULL,
    quality     int[] STORAGE EXTERNAL NOT NULL,
    device_id   int[] STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (tx, seq)
);
COMMENT ON COLUMN feed.at IS 'happened_at; a reading whose time cannot be believed does not enter the feed';

CREATE TABLE watch_state (
    name       text PRIMARY KEY,
    tx         xid8 NOT NULL DEFAULT '0',
    seq        bigint NOT NULL DEFAULT 0,
    protocol   text NOT NULL DEFAULT '',
    clock      timestamptz,
    worked_at  timestamptz
);
COMMENT ON TABLE watch_state IS 'where each watch stands in the feed, committed with what it decided';

CREATE TABLE watch_row (
    name        text NOT NULL REFERENCES watch_state ON DELETE CASCADE,
    resident_id int NOT NULL REFERENCES resident,
    state       bytea NOT NULL,
    PRIMARY KEY (name, resident_id)
);
COMMENT ON TABLE watch_row IS 'the rules core''s columns, one row per resident, written only when they change';

CREATE TABLE duty (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id   int NOT NULL REFERENCES centre,
    person_id   uuid NOT NULL REFERENCES person,
    step        smallint NOT NULL CHECK (step BETWEEN 1 AND 3),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL CHECK (ends_at > starts_at)
);
COMMENT ON COLUMN duty.step IS '1 first called, 2 second, 3 supervisor';
CREATE INDEX duty_time ON duty (centre_id, step, ends_at);

CREATE TABLE alert (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id     int NOT NULL REFERENCES resident,
    rule            text NOT NULL,
    protocol        text NOT NULL,
    priority        text NOT NULL CHECK (priority IN ('high', 'medium', 'low')),
    kind            text NOT NULL CHECK (kind IN ('physiological', 'event', 'technical')),
    state           text NOT NULL CHECK (state IN ('raised', 'notified', 'acknowledged', 'shelved', 'resolved')),
    happened_at     timestamptz NOT NULL,
    raised_at       timestamptz NOT NULL,
    evidence        jsonb NOT NULL DEFAULT '{}',
    reply_code      smallint,
    step            smallint NOT NULL DEFAULT 0,
    climb_at        timestamptz,
    rounds          int NOT NULL DEFAULT 0,
    acknowledged_at timestamptz,
    acknowledged_by uuid REFERENCES person,
    shelved_until   timestamptz,
    cleared_at      timestamptz,
    resolved_at     timestamptz,
    resolved_by     uuid REFERENCES person,
    outcome         text,
    UNIQUE (resident_id, rule, happened_at)
);
COMMENT ON COLUMN alert.evidence IS 'the values that raised it, as the sentences need them';
COMMENT ON COLUMN alert.climb_at IS 'when the next step of the ladder is called unless a person has taken it';
COMMENT ON COLUMN alert.cleared_at IS 'the condition ended by itself; the alert stays until a person resolves it';
CREATE UNIQUE INDEX alert_open ON alert (resident_id, rule) WHERE state <> 'resolved';
CREATE INDEX alert_resident ON alert (resident_id, raised_at DESC);
CREATE INDEX alert_climb ON alert (climb_at) WHERE climb_at IS NOT NULL;

CREATE TABLE alert_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alert,
    resident_id int NOT NULL REFERENCES resident,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind        text NOT NULL,
    person_id   uuid REFERENCES person,
    channel     text,
    detail      jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE alert_event IS 'the trail of an alert: only ever added to';
CREATE INDEX alert_event_alert ON alert_event (alert_id, id);

CREATE TABLE message (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id     bigint REFERENCES alert,
    resident_id  int REFERENCES resident,
    step         int NOT NULL DEFAULT 0,
    purpose      text NOT NULL DEFAULT 'alert' CHECK (purpose IN ('alert', 'taken', 'receipt')),
    person_id    uuid NOT NULL REFERENCES person,
    channel      text NOT NULL CHECK (channel IN ('sms', 'voice')),
    phone        text NOT NULL,
    language     text NOT NULL,
    body         text NOT NULL,
    state        text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sending', 'uncertain', 'sent', 'delivered', 'failed', 'cancelled')),
    due_at       timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    attempts     smallint NOT NULL DEFAULT 0,
    provider_sid text UNIQUE,
    error        text,
    sending_at   timestamptz,
    sent_at      timestamptz,
    delivered_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (alert_id, step, person_id, channel, purpose)
);
CREATE INDEX message_due ON message (due_at) WHERE state IN ('due', 'sending', 'uncertain');
CREATE INDEX message_unheard ON message (due_at) WHERE state = 'sent';
CREATE INDEX message_person ON message (person_id, created_at DESC);

CREATE TABLE inbound (
    provider_sid text PRIMARY KEY,
    phone        text NOT NULL,
    body         text NOT NULL,
    person_id    uuid REFERENCES person,
    received_at  timestamptz NOT NULL DEFAULT now(),
    outcome      text NOT NULL
);
COMMENT ON TABLE inbound IS 'every reply once, by the provider''s identifier, with what was done about it';

CREATE TABLE prompt (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int NOT NULL REFERENCES resident,
    rule        text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('repeat_measurement', 'are_you_well')),
    asked_at    timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    answered_at timestamptz,
    answer      text,
    UNIQUE (resident_id, rule, asked_at)
);
COMMENT ON TABLE prompt IS 'what the resident is being asked on her own page before staff are called';

CREATE TABLE note (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resident_id int NOT NULL REFERENCES resident,
    alert_id    bigint REFERENCES alert,
    author_id   uuid NOT NULL REFERENCES person,
    at          timestamptz NOT NULL DEFAULT now(),
    text        text NOT NULL CHECK (length(text) BETWEEN 1 AND 4000)
);
CREATE INDEX note_resident ON note (resident_id, at DESC);

CREATE TABLE audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    person_id   uuid REFERENCES person,
    resident_id int REFERENCES resident,
    action      text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit IS 'who looked at whom, who signed in, who changed what: only ever added to';
CREATE INDEX audit_resident ON audit (resident_id, at DESC);

-- Live pages: one channel says what changed, never what it is.
CREATE FUNCTION tell_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hearthwatch', json_build_object('kind', TG_TABLE_NAME, 'resident_id', NEW.resident_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON alert FOR EACH ROW EXECUTE FUNCTION tell_alert();
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON prompt FOR EACH ROW EXECUTE FUNCTION tell_alert();
CREATE TRIGGER tell AFTER INSERT ON note FOR EACH ROW EXECUTE FUNCTION tell_alert();
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON latest_reading FOR EACH ROW EXECUTE FUNCTION tell_alert();

CREATE FUNCTION tell_work() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hearthwatch', json_build_object('kind', TG_TABLE_NAME)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON feed FOR EACH STATEMENT EXECUTE FUNCTION tell_work();
CREATE TRIGGER tell AFTER INSERT ON message FOR EACH STATEMENT EXECUTE FUNCTION tell_work();

-- Who may see which row. The service sees all; a reader only through a relation.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['resident', 'device', 'alert', 'alert_event', 'prompt', 'latest_reading',
                             'message', 'note', 'reading_quarantine', 'relation', 'person', 'audit'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY service ON %I TO hearthwatch_service USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['device', 'alert', 'prompt', 'latest_reading', 'relation'] LOOP
        EXECUTE format('CREATE POLICY related ON %I FOR SELECT TO hearthwatch_reader
                        USING (resident_id = ANY (ARRAY(SELECT visible_residents())))', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['alert_event', 'message', 'note', 'reading_quarantine'] LOOP
        EXECUTE format('CREATE POLICY in_care ON %I FOR SELECT TO hearthwatch_reader
                        USING (resident_id = ANY (ARRAY(SELECT residents_in_care())))', t);
    END LOOP;
END $$;
CREATE POLICY related ON resident FOR SELECT TO hearthwatch_reader USING (id = ANY (ARRAY(SELECT visible_residents())));
-- A reader sees herself, the residents related to her, and the people who stand around those residents.
CREATE POLICY related ON person FOR SELECT TO hearthwatch_reader USING (
    id = current_person()
    OR id IN (SELECT person_id FROM resident)
    OR id IN (SELECT person_id FROM relation)
);

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO hearthwatch_service, hearthwatch_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hearthwatch_service;
REVOKE UPDATE, DELETE ON audit, alert_event FROM hearthwatch_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;
GRANT SELECT (id, address, resident_id, gateway_id, kind, manufacturer, model, serial, firmware, battery_pct, battery_at,
    rssi_dbm, clock_error_s, last_seen_at, trouble, removed_at) ON device TO hearthwatch_reader;
GRANT SELECT ON centre, resident, person, relation, alert, alert_event, message, prompt, note,
    latest_reading, reading_quarantine, duty, resident_reading, resident_event_detail TO hearthwatch_reader;
REVOKE INSERT, UPDATE, DELETE ON migration FROM hearthwatch_service;
