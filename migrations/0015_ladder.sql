-- Somebody always comes: escalation policies, a life cycle that ends in a person, an outbox for every way of reaching one.

ALTER TABLE alert DROP CONSTRAINT alert_state_check;
UPDATE alert SET state = 'notifying' WHERE state = 'notified';
ALTER TABLE alert
    ADD CONSTRAINT alert_state_check CHECK (state IN
        ('raised', 'notifying', 'acknowledged', 'attended', 'shelved', 'cancelled', 'resolved', 'expired')),
    ADD COLUMN call         int NOT NULL DEFAULT 0,
    ADD COLUMN exhausted_at timestamptz,
    ADD COLUMN attended_at  timestamptz,
    ADD COLUMN attended_by  uuid REFERENCES person,
    ADD COLUMN cancelled_at timestamptz;
UPDATE alert SET call = rounds * 3 + step;
COMMENT ON COLUMN alert.step IS 'the step of its policy last called; 0: nobody is called, a task on the board';
COMMENT ON COLUMN alert.call IS 'calls made so far, each with a number of its own: what tells a second call to somebody from the first';
COMMENT ON COLUMN alert.climb_at IS 'when it goes on by itself: the next step while nobody has taken it; acknowledged: the time by which somebody must have attended';
COMMENT ON COLUMN alert.exhausted_at IS 'since when everybody of its policy has been called in vain; empty again once somebody takes it';
COMMENT ON COLUMN alert.reply_code IS 'one for all open alerts of a resident: they are one conversation';
DROP INDEX alert_open;
CREATE UNIQUE INDEX alert_open ON alert (resident_id, rule) WHERE state NOT IN ('resolved', 'expired');
CREATE INDEX alert_code ON alert (reply_code) WHERE reply_code IS NOT NULL AND state NOT IN ('resolved', 'expired');
CREATE INDEX alert_exhausted ON alert (exhausted_at) WHERE exhausted_at IS NOT NULL AND state NOT IN ('resolved', 'expired');

-- Who answers when nobody else does: the centre's line that is always manned, as a person with a telephone.
ALTER TABLE centre ADD COLUMN fallback_id uuid REFERENCES person;
COMMENT ON COLUMN centre.fallback_id IS 'called when a policy is exhausted; has no account';
DO $$
DECLARE place record; made uuid;
BEGIN
    FOR place IN SELECT * FROM centre WHERE phone ~ '^\+[1-9][0-9]{6,14}$' LOOP
        INSERT INTO person (centre_id, name_zh, name_en, phone)
        VALUES (place.id, place.name_zh || '值班电话', 'Duty line of ' || place.name_en, place.phone)
        ON CONFLICT DO NOTHING RETURNING id INTO made;
        UPDATE centre SET fallback_id = made WHERE id = place.id;
    END LOOP;
END $$;

CREATE TABLE policy (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id  int NOT NULL REFERENCES centre,
    name_zh    text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 100),
    name_en    text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 100),
    content    jsonb NOT NULL,
    saved_by   uuid REFERENCES person,
    saved_at   timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
COMMENT ON COLUMN policy.content IS 'as alerts.policy writes it: steps, repeats, again_s, attend_s';
CREATE TABLE policy_use (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    centre_id   int NOT NULL REFERENCES centre,
    priority    text NOT NULL CHECK (priority IN ('high', 'medium', 'low')),
    area_id     int REFERENCES area,
    resident_id int REFERENCES resident,
    policy_id   int NOT NULL REFERENCES policy,
    CHECK (num_nonnulls(area_id, resident_id) < 2),
    UNIQUE NULLS NOT DISTINCT (centre_id, priority, area_id, resident_id)
);
COMMENT ON TABLE policy_use IS 'which policy holds: a resident''s own before her area''s, the nearer area before the wider, then the centre''s; without any the shipped one';

-- A relative is called only if the resident lets her be, and not at night unless she says so herself.
CREATE TABLE family_call (
    person_id    uuid NOT NULL REFERENCES person,
    resident_id  int NOT NULL REFERENCES resident,
    consented_at timestamptz NOT NULL,
    consented_by uuid NOT NULL REFERENCES person,
    quiet_from   time NOT NULL DEFAULT '22:00',
    quiet_until  time NOT NULL DEFAULT '07:00',
    ended_at     timestamptz,
    PRIMARY KEY (person_id, resident_id)
);
COMMENT ON TABLE family_call IS 'consent of the resident that this relative is called to alerts';
COMMENT ON COLUMN family_call.quiet_from IS 'local time of the relative''s quiet hours; equal to quiet_until: none';

-- The outbox.
ALTER TABLE message RENAME COLUMN phone TO address;
ALTER TABLE message
    DROP CONSTRAINT message_purpose_check,
    DROP CONSTRAINT message_channel_check,
    ADD CONSTRAINT message_purpose_check CHECK (purpose IN
        ('alert', 'also', 'taken', 'receipt', 'closed', 'exhausted', 'verify', 'test', 'heartbeat', 'notice')),
    ADD CONSTRAINT message_channel_check CHECK (channel IN ('sms', 'voice', 'push', 'email')),
    ADD COLUMN priority text NOT NULL DEFAULT 'medium' CHECK (priority IN ('high', 'medium', 'low')),
    ADD COLUMN subject  text NOT NULL DEFAULT '',
    ADD COLUMN code     smallint,
    ADD COLUMN provider text;
UPDATE message m SET priority = a.priority FROM alert a WHERE a.id = m.alert_id;
COMMENT ON COLUMN message.address IS 'E.164 for sms and voice, an e-mail address, or the number of a push subscription';
COMMENT ON COLUMN message.step IS 'the number of the alert''s call it belongs to (alert.call)';
COMMENT ON COLUMN message.subject IS 'of an e-mail, and the title of a push message';
COMMENT ON COLUMN message.code IS 'with which a reply names the conversation';
COMMENT ON COLUMN message.provider IS 'which provider took it last, where a channel has several';
DROP INDEX message_due;
CREATE INDEX message_due ON message (priority, due_at) WHERE state = 'due';
CREATE INDEX message_under_way ON message (due_at) WHERE state IN ('sending', 'uncertain');
CREATE INDEX message_alert ON message (alert_id, step);

ALTER TABLE policy ENABLE ROW LEVEL SECURITY;
ALTER TABLE policy_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE family_call ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON policy TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY service ON policy_use TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY service ON family_call TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY staffed ON policy FOR SELECT TO hearthwatch_reader USING (centre_id = (SELECT staffed_centre()));
CREATE POLICY staffed ON policy_use FOR SELECT TO hearthwatch_reader USING (centre_id = (SELECT staffed_centre()));
CREATE POLICY related ON family_call FOR SELECT TO hearthwatch_reader USING (
    person_id = current_person() OR resident_id = ANY (ARRAY(SELECT visible_residents())));
REVOKE ALL ON policy, policy_use, family_call FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON policy, policy_use, family_call TO hearthwatch_service;
GRANT SELECT ON policy, policy_use, family_call TO hearthwatch_reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;
