-- How people are reached: what each wants, what has been proved, which browsers listen, and which addresses take nothing.

CREATE TABLE contact_preference (
    person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    priority  text NOT NULL CHECK (priority IN ('high', 'medium', 'low')),
    ways      jsonb NOT NULL CHECK (jsonb_typeof(ways) = 'array'),
    saved_at  timestamptz NOT NULL,
    PRIMARY KEY (person_id, priority)
);
COMMENT ON COLUMN contact_preference.ways IS 'in order: [{"channel": "sms", "after_s": 0}, ...]; without a row the shipped default holds';

CREATE TABLE email_address (
    person_id   uuid PRIMARY KEY REFERENCES person ON DELETE CASCADE,
    address     text NOT NULL CHECK (address ~ '^[^@\s]+@[^@\s]+$' AND length(address) <= 254),
    verified_at timestamptz NOT NULL
);
ALTER TABLE person ADD COLUMN phone_verified_at timestamptz;
COMMENT ON COLUMN person.phone_verified_at IS 'when she showed that this telephone is hers, by a code sent to it; null: somebody wrote it down';

CREATE TABLE verification (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id  uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('phone', 'email')),
    address    text NOT NULL,
    code_hash  bytea NOT NULL,
    asked_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    tries      smallint NOT NULL DEFAULT 0,
    ended_at   timestamptz
);
COMMENT ON COLUMN verification.tries IS 'codes entered so far; after a few wrong ones it is over';
CREATE INDEX verification_person ON verification (person_id, asked_at);
CREATE INDEX verification_address ON verification (address, asked_at);

CREATE TABLE push_subscription (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    endpoint  text NOT NULL UNIQUE CHECK (length(endpoint) <= 2000),
    p256dh    text NOT NULL,
    auth      text NOT NULL,
    browser   text NOT NULL DEFAULT '' CHECK (length(browser) <= 100),
    added_at  timestamptz NOT NULL,
    shown_at  timestamptz
);
COMMENT ON TABLE push_subscription IS 'a browser that shows messages (Push API); endpoint and keys are its own secrets';
COMMENT ON COLUMN push_subscription.shown_at IS 'when a browser of this person last said that it has shown a message';
CREATE INDEX push_subscription_person ON push_subscription (person_id);

CREATE TABLE unreachable (
    address    text NOT NULL,
    channel    text NOT NULL CHECK (channel IN ('sms', 'voice', 'email')),
    why        text NOT NULL CHECK (why IN ('opted_out', 'dead')),
    error      text NOT NULL,
    person_id  uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    since      timestamptz NOT NULL,
    PRIMARY KEY (address, channel)
);
COMMENT ON TABLE unreachable IS 'addresses that take nothing: an administrator''s task until they do again';
CREATE INDEX unreachable_person ON unreachable (person_id);

CREATE TABLE channel_state (
    channel   text PRIMARY KEY CHECK (channel IN ('sms', 'voice', 'push', 'email')),
    providers text[] NOT NULL,
    since     timestamptz NOT NULL
);
COMMENT ON TABLE channel_state IS 'by what this service can reach people, as it said when it last started';

COMMENT ON COLUMN message.address IS 'E.164 for sms and voice, an e-mail address; push: the person, for it goes to all her browsers';

-- Everybody sees her own; her administrator sees whom nothing reaches, and no secret of a browser.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['contact_preference', 'email_address', 'verification', 'push_subscription', 'unreachable', 'channel_state'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY service ON %I TO hearthwatch_service USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['contact_preference', 'email_address', 'verification', 'push_subscription', 'unreachable'] LOOP
        EXECUTE format('CREATE POLICY own ON %I FOR SELECT TO hearthwatch_reader USING (person_id = (SELECT current_person()))', t);
    END LOOP;
END $$;
CREATE POLICY everybody ON channel_state FOR SELECT TO hearthwatch_reader USING (true);
CREATE POLICY own ON message FOR SELECT TO hearthwatch_reader USING (
    person_id = (SELECT current_person()) AND purpose = 'test');

CREATE VIEW administered_contact WITH (security_barrier) AS
    SELECT p.id AS person_id, p.name_zh, p.name_en, a.face, p.phone, p.phone_verified_at,
           EXISTS (SELECT FROM push_subscription s WHERE s.person_id = p.id) AS has_push,
           EXISTS (SELECT FROM email_address e WHERE e.person_id = p.id) AS has_email,
           coalesce((SELECT jsonb_agg(jsonb_build_object('address', u.address, 'channel', u.channel, 'why', u.why,
                                                         'error', u.error, 'since', u.since) ORDER BY u.since, u.channel)
                     FROM unreachable u WHERE u.person_id = p.id), '[]') AS troubles
    FROM person p JOIN account a ON a.person_id = p.id
    WHERE p.centre_id = (SELECT administered_centre()) AND a.face IN ('doctor', 'care_worker', 'family')
      AND a.disabled_at IS NULL
    UNION ALL
    SELECT p.id, p.name_zh, p.name_en, 'fallback', p.phone, p.phone_verified_at, false, false,
           coalesce((SELECT jsonb_agg(jsonb_build_object('address', u.address, 'channel', u.channel, 'why', u.why,
                                                         'error', u.error, 'since', u.since) ORDER BY u.since, u.channel)
                     FROM unreachable u WHERE u.person_id = p.id), '[]')
    FROM person p JOIN centre c ON c.fallback_id = p.id
    WHERE c.id = (SELECT administered_centre()) AND NOT EXISTS (SELECT FROM account a WHERE a.person_id = p.id);

REVOKE ALL ON contact_preference, email_address, verification, push_subscription, unreachable, channel_state,
    administered_contact FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_preference, email_address, verification, push_subscription, unreachable,
    channel_state TO hearthwatch_service;
GRANT SELECT ON contact_preference, email_address, unreachable, channel_state, administered_contact TO hearthwatch_reader;
GRANT SELECT (id, person_id, browser, added_at, shown_at) ON push_subscription TO hearthwatch_reader;
GRANT SELECT (id, person_id, kind, address, asked_at, expires_at, tries, ended_at) ON verification TO hearthwatch_reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;
