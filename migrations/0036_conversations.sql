-- Conversations of agents with people and other agents, over any channels. Messages refer to one by their thread.
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'closed')),
    channel TEXT,
    -- Participants, context and summary. Encrypted.
    details BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ
);

CREATE INDEX conversations_of_agent ON conversations (agent_id, status, id);
CREATE INDEX conversations_by_time ON conversations (created_at, id);

-- The people of open conversations, by their key (`contact_key`): sends and messages find their conversation by it.
CREATE TABLE conversation_contacts (
    agent_id TEXT NOT NULL REFERENCES agents (id),
    contact TEXT NOT NULL,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    PRIMARY KEY (agent_id, contact, conversation_id)
);

CREATE INDEX conversation_contacts_of_conversation ON conversation_contacts (conversation_id);
