-- Accounts at vendors, senders of any account, pools of senders, and the orders of senders.

-- The credentials of an organization at a vendor. The installation's own are settings and have no row.
CREATE TABLE provider_accounts (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- Of a subaccount that was made for one agent.
    agent_id TEXT REFERENCES agents (id),
    vendor TEXT NOT NULL,
    -- The vendor's own id of the account, such as Twilio's SID.
    external_id TEXT NOT NULL,
    label TEXT NOT NULL,
    -- Encrypted.
    credentials BYTEA NOT NULL,
    -- Grows with each change.
    version BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('unverified', 'active', 'failing', 'suspended', 'closed')),
    failure TEXT,
    -- The installation's account created it as a subaccount.
    is_subaccount BOOLEAN NOT NULL,
    checked_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (org_id, vendor, external_id)
);

CREATE INDEX provider_accounts_by_external_id ON provider_accounts (vendor, external_id);
CREATE INDEX provider_accounts_failing ON provider_accounts (checked_at) WHERE status = 'failing';
CREATE INDEX provider_accounts_by_creation ON provider_accounts (created_at, id);

-- SQLite can't drop a constraint, so the table is made again, and so is the one that references it.
CREATE TABLE new_channels (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- NULL: of the organization's pool.
    agent_id TEXT REFERENCES agents (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'paused')),
    created_at TIMESTAMPTZ NOT NULL,
    blocks_inbound BOOLEAN NOT NULL DEFAULT FALSE,
    blocks_outbound BOOLEAN NOT NULL DEFAULT FALSE,
    -- NULL: the installation's account.
    account_id TEXT REFERENCES provider_accounts (id),
    label TEXT,
    -- The one of several senders of an agent on a channel that is used first.
    is_primary BOOLEAN NOT NULL DEFAULT TRUE,
    -- The vendor's id of a bought number. NULL: the address was given, not bought.
    number_id TEXT,
    country TEXT,
    -- The monthly price of a bought number, in micro-units.
    monthly_price BIGINT,
    -- The registration of a WhatsApp sender at the vendor: its id there, and how far it is.
    registration_id TEXT,
    registration TEXT CHECK (registration IN ('pending', 'done', 'failed')),
    -- Out of use since then. A bought number is returned to the vendor after the hold.
    released_at TIMESTAMPTZ,
    UNIQUE (channel, address)
);

INSERT INTO new_channels (id, org_id, agent_id, channel, address, status, created_at, blocks_inbound, blocks_outbound)
SELECT id, org_id, agent_id, channel, address, status, created_at, blocks_inbound, blocks_outbound FROM channels;

CREATE TABLE kept_windows (channel_id TEXT NOT NULL, address TEXT NOT NULL, last_inbound_at TIMESTAMPTZ NOT NULL);
INSERT INTO kept_windows (channel_id, address, last_inbound_at)
SELECT channel_id, address, last_inbound_at FROM inbound_windows;
DROP TABLE inbound_windows;
DROP TABLE channels;
ALTER TABLE new_channels RENAME TO channels;

CREATE TABLE inbound_windows (
    channel_id TEXT NOT NULL REFERENCES channels (id),
    address TEXT NOT NULL,
    last_inbound_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (channel_id, address)
);

INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
SELECT channel_id, address, last_inbound_at FROM kept_windows;
DROP TABLE kept_windows;

CREATE UNIQUE INDEX channels_primary ON channels (agent_id, channel) WHERE is_primary;
CREATE INDEX channels_by_agent ON channels (agent_id);
CREATE INDEX channels_by_org ON channels (org_id);
CREATE INDEX channels_registering ON channels (created_at) WHERE registration = 'pending';
CREATE INDEX channels_released ON channels (released_at) WHERE released_at IS NOT NULL;

-- Which agent a sender of the pool serves for a contact.
CREATE TABLE sender_bindings (
    channel_id TEXT NOT NULL REFERENCES channels (id),
    contact TEXT NOT NULL,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    used_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (channel_id, contact)
);

CREATE INDEX sender_bindings_by_agent ON sender_bindings (agent_id);
CREATE INDEX sender_bindings_by_use ON sender_bindings (used_at);

-- Orders of senders: each step is stored before it is taken, so that another process can finish or undo it.
CREATE TABLE sender_orders (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- NULL: for the pool.
    agent_id TEXT REFERENCES agents (id),
    account_id TEXT REFERENCES provider_accounts (id),
    request TEXT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'undoing', 'done', 'failed', 'stuck')),
    address TEXT,
    number_id TEXT,
    failure TEXT,
    -- Until then, one process works on it.
    lease_until TIMESTAMPTZ NOT NULL,
    attempts BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX sender_orders_due ON sender_orders (lease_until) WHERE state IN ('running', 'undoing');
CREATE INDEX sender_orders_by_org ON sender_orders (org_id, created_at);

ALTER TABLE organizations ADD COLUMN identity_mode TEXT CHECK (identity_mode IN ('dedicated', 'shared', 'hybrid'));
ALTER TABLE organizations ADD COLUMN isolation_mode TEXT
    CHECK (isolation_mode IN ('single-account', 'subaccount-per-customer', 'subaccount-per-agent'));
-- Receives what people write to a sender of the pool that serves no agent for them.
ALTER TABLE organizations ADD COLUMN default_agent_id TEXT;
ALTER TABLE organizations ADD COLUMN max_agents BIGINT;
ALTER TABLE agents ADD COLUMN identity_mode TEXT CHECK (identity_mode IN ('dedicated', 'shared', 'hybrid'));
