-- The watch over the service itself: a call for help that nobody made, every few minutes, of a resident who does not
-- exist. It takes the whole way of a real one, from the feed to the word that the message was delivered; each time it
-- comes through is a proof. Resident and telephone are of a centre of their own, so that no page shows them.
CREATE TABLE probe (
    is_one      boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    centre_id   int NOT NULL REFERENCES centre,
    resident_id int NOT NULL REFERENCES resident,
    person_id   uuid NOT NULL REFERENCES person,
    every_s     double precision CHECK (every_s > 0),
    since       timestamptz NOT NULL,
    next_at     timestamptz NOT NULL
);
COMMENT ON COLUMN probe.person_id IS 'the test contact, who is always on duty there';
COMMENT ON COLUMN probe.every_s IS 'seconds between two probes; null: none are sent';
COMMENT ON COLUMN probe.since IS 'since when probes are sent without a pause of the setting';

CREATE TABLE proof (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun_at  timestamptz NOT NULL,
    alert_id  bigint REFERENCES alert,
    ended_at  timestamptz,
    proved_at timestamptz,
    stuck     text CHECK (stuck IN ('not_judged', 'not_called', 'not_sent', 'not_delivered')),
    error     text,
    CHECK (proved_at IS NULL OR stuck IS NULL)
);
COMMENT ON TABLE proof IS 'each probe, and how far it came';
COMMENT ON COLUMN proof.proved_at IS 'when its message was delivered';
COMMENT ON COLUMN proof.stuck IS 'what did not happen before the next probe was due';
COMMENT ON COLUMN proof.error IS 'of the message: the provider''s code, or a word of ours';
CREATE INDEX proof_under_way ON proof (id) WHERE ended_at IS NULL;
CREATE INDEX proof_proved ON proof (proved_at) WHERE proved_at IS NOT NULL;

CREATE FUNCTION probe_resident_id() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT resident_id FROM probe $$;

-- What every screen may know of it. An alert that somebody has taken waits for no message any more; a provider that tells
-- nothing of deliveries is not held to be late for ever.
CREATE FUNCTION chain_standing(at timestamptz)
RETURNS TABLE (every_s double precision, since timestamptz, proved_at timestamptz, stuck text, oldest_high timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.every_s, p.since, (SELECT max(f.proved_at) FROM proof f),
        (SELECT f.stuck FROM proof f WHERE f.ended_at IS NOT NULL ORDER BY f.id DESC LIMIT 1),
        (SELECT min(CASE WHEN m.attempts = 0 THEN m.due_at ELSE m.created_at END) FROM message m JOIN alert a ON a.id = m.alert_id
         WHERE m.state IN ('due', 'sending', 'uncertain', 'sent') AND m.priority = 'high' AND m.channel IN ('sms', 'voice')
             AND m.purpose IN ('alert', 'also') AND a.state IN ('raised', 'notifying')
             AND (m.attempts > 0 OR m.due_at <= at) AND (m.state <> 'sent' OR m.sent_at > at - interval '2 min')
             AND m.resident_id IS DISTINCT FROM p.resident_id)
    FROM (SELECT 1) one LEFT JOIN probe p ON true
$$;
REVOKE ALL ON FUNCTION probe_resident_id(), chain_standing(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION probe_resident_id(), chain_standing(timestamptz) TO hearthwatch_service, hearthwatch_reader;

ALTER TABLE probe ENABLE ROW LEVEL SECURITY;
ALTER TABLE proof ENABLE ROW LEVEL SECURITY;
CREATE POLICY service ON probe TO hearthwatch_service USING (true) WITH CHECK (true);
CREATE POLICY service ON proof TO hearthwatch_service USING (true) WITH CHECK (true);
REVOKE ALL ON probe, proof FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON probe TO hearthwatch_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON proof TO hearthwatch_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hearthwatch_service;
