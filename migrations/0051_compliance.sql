-- The purpose and the decision of compliance on each message, and the messages that it has refused.
ALTER TABLE messages ADD COLUMN send_purpose TEXT;
ALTER TABLE messages ADD COLUMN ruling TEXT;
-- The kind of consent that an agent has recorded. NULL: the word of the person.
ALTER TABLE consents ADD COLUMN consent_kind TEXT;

CREATE TABLE refusals (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- Masked: the last four characters at most.
    recipient TEXT NOT NULL,
    -- A keyed hash of the key of the person.
    contact_hash TEXT NOT NULL,
    send_purpose TEXT NOT NULL,
    rule TEXT NOT NULL,
    code TEXT NOT NULL,
    ruling TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX refusals_of_org ON refusals (org_id, id);
