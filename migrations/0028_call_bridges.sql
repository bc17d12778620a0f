-- Permanent bridges: a call to one of our numbers is connected with another number.

CREATE TABLE call_bridges (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- The agent that pays.
    agent_id TEXT NOT NULL REFERENCES agents (id),
    -- Of the agent.
    local_number TEXT NOT NULL,
    -- NULL: every caller.
    from_number TEXT,
    destination TEXT NOT NULL,
    label TEXT,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX call_bridges_by_number ON call_bridges (org_id, local_number, from_number);
CREATE INDEX call_bridges_by_agent ON call_bridges (agent_id);
