-- Telephone calls, in either direction.

CREATE TABLE calls (
    -- An outbound call has the id of its message.
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    carrier TEXT NOT NULL,
    carrier_id TEXT,
    local_number TEXT NOT NULL,
    -- `anonymous` where the caller does not say.
    remote_number TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Of the status. It only grows.
    rank BIGINT NOT NULL,
    answered_by TEXT,
    -- Who spoke for us: `agent`, `machine`, `message`, `transfer`, ...
    handled_by TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    answered_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    duration_seconds BIGINT,
    turns BIGINT NOT NULL DEFAULT 0,
    -- How long the turns took, summed up.
    latency JSONB,
    -- Micro-units.
    cost BIGINT,
    error_code TEXT,
    end_reason TEXT,
    recording_id TEXT,
    recording_url TEXT,
    recording_seconds BIGINT,
    -- What was said. Encrypted; forgotten like what was said in events.
    content BYTEA,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX calls_by_carrier_id ON calls (carrier_id, carrier) WHERE carrier_id IS NOT NULL;
CREATE INDEX calls_by_agent ON calls (agent_id, created_at, id);
CREATE INDEX calls_live ON calls (agent_id, created_at, id) WHERE ended_at IS NULL;
CREATE INDEX calls_content ON calls (created_at) WHERE content IS NOT NULL;

-- Micro-units: what a call took since it was accepted, beside what it is settled with.
ALTER TABLE messages ADD COLUMN extended BIGINT NOT NULL DEFAULT 0;

-- A number that texts can be sent from can be called.
INSERT INTO channels (id, org_id, agent_id, channel, address, status, created_at)
SELECT id || '_v', org_id, agent_id, 'voice', address, status, created_at FROM channels WHERE channel = 'sms'
ON CONFLICT DO NOTHING;
