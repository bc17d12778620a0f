-- Contacts that an agent trusts for a time, after a one-time code or by its own decision. The last one counts.
CREATE TABLE trust_sessions (
    agent_id TEXT NOT NULL REFERENCES agents (id),
    -- The key of the person (`contact_key`).
    contact TEXT NOT NULL,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- A channel on which a code was confirmed, or `manual`.
    method TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ,
    PRIMARY KEY (agent_id, contact)
);

-- Statements of agents about the consent of people. Rows are only added. The consent in force is in `consents`.
CREATE TABLE consent_records (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL,
    -- The id of the token.
    actor TEXT NOT NULL,
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('granted', 'revoked')),
    kind TEXT,
    source TEXT,
    notes TEXT,
    at TIMESTAMPTZ NOT NULL
);

CREATE INDEX consent_records_of_contact ON consent_records (org_id, contact, id);
