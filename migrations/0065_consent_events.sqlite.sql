-- The consent ledger: each word about the consent of a person. Rows are only added, in the transaction that changes `consents`, which
-- is their fold.
CREATE TABLE consent_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- The key of the person (`contact_key`); of an erased person its keyed hash.
    contact TEXT NOT NULL,
    -- It holds on all channels that share the address.
    channel TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('all', 'marketing')),
    action TEXT NOT NULL CHECK (action IN ('granted', 'revoked', 'expired')),
    method TEXT NOT NULL,
    kind TEXT,
    -- The id of a token, `contact`, `carrier` or `system`.
    actor TEXT NOT NULL,
    event_id TEXT,
    message_id TEXT,
    -- The words of the person. Encrypted.
    words BYTEA,
    evidence JSONB NOT NULL,
    -- When the person has consented.
    at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX consent_events_of_contact ON consent_events (org_id, contact, seq);
CREATE INDEX consent_events_of_org ON consent_events (org_id, seq);
CREATE INDEX consent_events_with_words ON consent_events (recorded_at, event_id) WHERE words IS NOT NULL;

INSERT INTO consent_events
    (id, org_id, contact, channel, purpose, action, method, kind, actor, evidence, at, recorded_at)
SELECT 'cev_' || lower(hex(randomblob(16))), org_id, contact, channel, purpose, action, method, kind, actor, evidence, at, at
FROM (
    SELECT org_id, contact, channel, 'all' AS purpose, action, 'statement' AS method, kind, actor,
        json_patch('{}', json_object('agentId', agent_id, 'source', source, 'notes', notes)) AS evidence, at
    FROM consent_records
    UNION ALL
    SELECT c.org_id, c.address, CASE MIN(c.channel) WHEN 'marketing' THEN 'whatsapp' ELSE MIN(c.channel) END,
        CASE MIN(c.channel) WHEN 'marketing' THEN 'marketing' ELSE 'all' END, c.status,
        CASE c.source WHEN 'agent' THEN 'statement' WHEN 'carrier' THEN 'vendor_preference' ELSE 'keyword' END, c.consent_kind,
        CASE c.source WHEN 'agent' THEN 'system' WHEN 'carrier' THEN 'carrier' ELSE 'contact' END,
        json_object('source', c.source), c.updated_at
    FROM consents c
    WHERE c.source <> 'agent' OR NOT EXISTS (SELECT 1 FROM consent_records r
        WHERE r.org_id = c.org_id AND r.contact = c.address AND r.at = c.updated_at)
    GROUP BY c.org_id, c.address, c.status, c.source, c.consent_kind, c.updated_at,
        CASE WHEN c.channel IN ('sms', 'whatsapp', 'voice') THEN 'number' ELSE c.channel END
) AS former ORDER BY at, action;
