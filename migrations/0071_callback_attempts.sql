-- Requests to the callbacks of agents, with their results. Of each event the newest ones, for two weeks.
CREATE TABLE callback_attempts (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'gone', 'failed')),
    http_status BIGINT,
    -- Why there was no response.
    error TEXT,
    milliseconds BIGINT NOT NULL,
    -- The time of the next request, when one follows automatically.
    retry_at TIMESTAMPTZ,
    at TIMESTAMPTZ NOT NULL
);

CREATE INDEX callback_attempts_of_org ON callback_attempts (org_id, id);
CREATE INDEX callback_attempts_of_event ON callback_attempts (event_id, id);
CREATE INDEX callback_attempts_of_agent ON callback_attempts (agent_id, id);
