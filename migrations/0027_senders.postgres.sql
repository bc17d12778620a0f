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

ALTER TABLE channels ALTER COLUMN agent_id DROP NOT NULL;
ALTER TABLE channels DROP CONSTRAINT channels_agent_id_channel_key;
-- NULL: the installation's account.
ALTER TABLE channels ADD COLUMN account_id TEXT REFERENCES provider_accounts (id);
ALTER TABLE channels ADD COLUMN label TEXT;
-- The one of several senders of an agent on a channel that is used first.
ALTER TABLE channels ADD COLUMN is_primary BOOLEAN NOT NULL DEFAULT TRUE;
-- The vendor's id of a bought number. NULL: the address was given, not bought.
ALTER TABLE channels ADD COLUMN number_id TEXT;
ALTER TABLE channels ADD COLUMN country TEXT;
-- The monthly price of a bought number, in micro-units.
ALTER TABLE channels ADD COLUMN monthly_price BIGINT;
-- The registration of a WhatsApp sender at the vendor: its id there, and how far it is.
ALTER TABLE channels ADD COLUMN registration_id TEXT;
ALTER TABLE channels ADD COLUMN registration TEXT CHECK (registration IN ('pending', 'done', 'failed'));
-- Out of use since then. A bought number is returned to the vendor after the hold.
ALTER TABLE channels ADD COLUMN released_at TIMESTAMPTZ;

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
