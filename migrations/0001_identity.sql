-- Who there is: organizations, their agents, the tokens that speak for either, and the addresses that agents send from.
-- Text ids with a prefix; times in UTC; no engine-specific types, so that one text serves both engines.

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    display_name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'suspended')),
    event_seq BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX agents_by_org ON agents (org_id, created_at);

-- A token is kept as its SHA-256 only: 256 random bits need no slow hash.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    last_four TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('agent', 'org-admin', 'super-admin')),
    org_id TEXT REFERENCES organizations (id),
    agent_id TEXT REFERENCES agents (id),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
);

CREATE INDEX tokens_by_agent ON tokens (agent_id);
CREATE INDEX tokens_by_org ON tokens (org_id);

CREATE TABLE channels (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'paused')),
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (channel, address),
    UNIQUE (agent_id, channel)
);
