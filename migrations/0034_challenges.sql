-- One-time codes that prove who owns an address. The code itself is kept as a keyed hash only. `tries` counts every
-- attempt to confirm it; the statement that counts also decides, so that replicas together allow no more.
CREATE TABLE challenges (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- NULL: of the organization itself.
    agent_id TEXT REFERENCES agents (id),
    purpose TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    -- The key of the person (`contact_key`).
    contact TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'replaced')),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX challenges_of_owner ON challenges (org_id, agent_id, id) WHERE state = 'pending';
