-- Messages that leave later: scheduled ones, and those that a carrier refused for a passing reason.

CREATE TABLE scheduled_sends (
    -- The id that the message itself will have.
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    -- The request as it came. Encrypted; gone once it was sent or cancelled.
    request BYTEA,
    -- What was cancelled becomes failed once its agent has been told.
    state TEXT NOT NULL CHECK (state IN ('scheduled', 'sent', 'failed', 'cancelled')),
    -- The code that it failed with.
    failure TEXT,
    due_at TIMESTAMPTZ NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (agent_id, idempotency_key)
);

CREATE INDEX scheduled_sends_due ON scheduled_sends (due_at) WHERE state IN ('scheduled', 'cancelled');
CREATE INDEX scheduled_sends_by_contact ON scheduled_sends (org_id, recipient) WHERE state = 'scheduled';
