-- What comes in: how far the durable stream has been read, what is known of an event on its way to its agent, and where a
-- sent message is.

-- Written in the transaction that does the work, and only from the value that the reader believed in: two readers can't
-- both do it, and nothing is done twice or out of order.
CREATE TABLE log_positions (
    stream TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);

INSERT INTO log_positions (stream, position) VALUES ('INBOUND', 0);

ALTER TABLE agents ADD COLUMN callback_url TEXT;
-- Up to here the agent has said that it has its events.
ALTER TABLE agents ADD COLUMN event_cursor BIGINT NOT NULL DEFAULT 0;

-- The channel blocker. `status` stops sending only, and is the administrator's.
ALTER TABLE channels ADD COLUMN blocks_inbound BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE channels ADD COLUMN blocks_outbound BOOLEAN NOT NULL DEFAULT FALSE;

-- Whom it is from: events of one contact keep their order.
ALTER TABLE events ADD COLUMN contact TEXT;
-- What the person said. Encrypted; gone once the agent has it.
ALTER TABLE events ADD COLUMN content BYTEA;
-- While something is still to be fetched (a body, attachments): when somebody has to look.
ALTER TABLE events ADD COLUMN ready_at TIMESTAMPTZ;
-- Calls of the callback that failed.
ALTER TABLE events ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
-- Not before then is the callback called with it again, nor with what the same contact said later.
ALTER TABLE events ADD COLUMN retry_at TIMESTAMPTZ;
-- Handed out, and not yet known to have arrived: nobody else gets it until then.
ALTER TABLE events ADD COLUMN held_until TIMESTAMPTZ;

-- Kept for the agent to read, and not pushed.
ALTER TABLE events ADD COLUMN is_quiet BOOLEAN NOT NULL DEFAULT FALSE;

CREATE INDEX events_unready ON events (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX events_unready_of_contact ON events (agent_id, contact) WHERE ready_at IS NOT NULL;
CREATE INDEX events_held_of_contact ON events (agent_id, contact) WHERE held_until IS NOT NULL;
CREATE INDEX events_put_off_of_contact ON events (agent_id, contact) WHERE retry_at IS NOT NULL;
CREATE INDEX events_lingering ON events (delivered_at) WHERE content IS NOT NULL AND state = 'delivered';
CREATE INDEX events_undelivered_content ON events (created_at) WHERE content IS NOT NULL;

-- One row an agent: who climbs the ladder of delivery for it, and when it is climbed next.
CREATE TABLE deliveries (
    agent_id TEXT PRIMARY KEY REFERENCES agents (id),
    -- NULL: nothing to do until something happens.
    due_at TIMESTAMPTZ,
    holder TEXT,
    held_until TIMESTAMPTZ,
    -- Grows with everything that happens, so that who climbs notices what came meanwhile.
    generation BIGINT NOT NULL,
    -- Of the callback, in a row.
    failures BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;

-- What waits already.
INSERT INTO deliveries (agent_id, due_at, generation)
SELECT agent_id, MAX(created_at), 1 FROM events WHERE state = 'waiting' GROUP BY agent_id;

-- Where the carrier says that a message is. `stage_rank` only grows.
ALTER TABLE messages ADD COLUMN stage TEXT;
ALTER TABLE messages ADD COLUMN stage_rank BIGINT NOT NULL DEFAULT -1;
ALTER TABLE messages ADD COLUMN stage_at TIMESTAMPTZ;
ALTER TABLE messages ADD COLUMN stage_error TEXT;
-- Micro-units: what a receipt said that it cost. It may come before the message is settled.
ALTER TABLE messages ADD COLUMN price BIGINT;

-- What an agent wants to have pushed. No row: everything.
CREATE TABLE inbound_subscriptions (
    agent_id TEXT PRIMARY KEY REFERENCES agents (id),
    -- Lists as JSON; an empty one stands for all.
    channels JSONB NOT NULL,
    contacts JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE inbound_filters (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    kind TEXT NOT NULL,
    pattern TEXT NOT NULL,
    action TEXT NOT NULL,
    tag TEXT,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX inbound_filters_by_agent ON inbound_filters (agent_id, created_at);
