-- Registrations of US numbers at vendors: brands, campaigns, and verifications of toll-free numbers.
CREATE TABLE number_registrations (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- NULL: the installation's account.
    account_id TEXT REFERENCES provider_accounts (id),
    kind TEXT NOT NULL CHECK (kind IN ('brand', 'campaign', 'tollfree')),
    -- The account, or the number of a toll-free verification: each is registered once.
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('submitting', 'pending', 'in_review', 'approved', 'failed')),
    -- The vendor's ids of the registration and of the messaging service of a campaign.
    external_id TEXT,
    service_id TEXT,
    failure TEXT,
    -- Encrypted: names and addresses.
    data BYTEA NOT NULL,
    attempts BIGINT NOT NULL,
    -- When a process looks at it again.
    check_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (org_id, kind, subject)
);

CREATE INDEX number_registrations_due ON number_registrations (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX number_registrations_by_creation ON number_registrations (created_at, id);
CREATE INDEX number_registrations_of_account ON number_registrations (account_id) WHERE account_id IS NOT NULL;

-- Whether a bought US number may send texts in the US: 'needed', then 'done'. NULL: the number needs no registration, or its owner has
-- registered it at the vendor.
ALTER TABLE channels ADD COLUMN us_registration TEXT CHECK (us_registration IN ('needed', 'done'));
-- When the webhooks of a number were compared with those at the vendor.
ALTER TABLE channels ADD COLUMN webhooks_checked_at TIMESTAMPTZ;
UPDATE channels SET us_registration = 'needed' WHERE channel = 'sms' AND number_id IS NOT NULL AND country = 'US';
