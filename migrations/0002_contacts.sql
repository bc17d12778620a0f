-- What an organization may send to whom.

-- Never to be contacted, by the organization's own list. `channel` '*' stands for all.
CREATE TABLE suppressions (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, address, channel)
);

CREATE TABLE consents (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('granted', 'revoked')),
    source TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, address, channel)
);

-- When a contact last wrote to a sender: WhatsApp's 24-hour window counts from here.
CREATE TABLE inbound_windows (
    channel_id TEXT NOT NULL REFERENCES channels (id),
    address TEXT NOT NULL,
    last_inbound_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (channel_id, address)
);
