-- The durable log that every way of reaching an agent reads from, and the record of who changed what.

CREATE TABLE events (
    agent_id TEXT NOT NULL REFERENCES agents (id),
    seq BIGINT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    channel TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered')),
    reason TEXT NOT NULL,
    data JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ,
    PRIMARY KEY (agent_id, seq)
);

CREATE INDEX events_waiting ON events (agent_id, seq) WHERE state = 'waiting';

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    org_id TEXT,
    -- A token's id, or `system`.
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail JSONB NOT NULL,
    at TIMESTAMPTZ NOT NULL
);

CREATE INDEX audit_by_org ON audit (org_id, at);
