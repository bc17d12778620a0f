-- Outbound messages and every try to send one.

CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    -- Keyed hash of the body: the reconciler compares it with what the carrier lists.
    body_hash TEXT NOT NULL,
    -- Encrypted; gone as soon as the message is settled.
    content BYTEA,
    status TEXT NOT NULL,
    verdict TEXT NOT NULL,
    rule TEXT,
    carrier TEXT NOT NULL,
    carrier_id TEXT,
    carrier_status TEXT,
    failure TEXT,
    failure_detail TEXT,
    segments BIGINT,
    -- Micro-units: reserved at acceptance, and what it came to.
    estimate BIGINT NOT NULL,
    cost BIGINT,
    -- The UTC day that the money is counted in.
    day TEXT NOT NULL,
    thread_id TEXT,
    entity_id TEXT,
    reply_msg_id TEXT,
    attempts BIGINT NOT NULL,
    checks BIGINT NOT NULL DEFAULT 0,
    -- While unsettled: when the reconciler looks at it next.
    check_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (agent_id, idempotency_key)
);

CREATE INDEX messages_by_carrier_id ON messages (carrier_id) WHERE carrier_id IS NOT NULL;
CREATE INDEX messages_unsettled ON messages (check_at) WHERE check_at IS NOT NULL;

CREATE TABLE attempts (
    message_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    replica TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    outcome TEXT,
    detail TEXT,
    PRIMARY KEY (message_id, number)
);
