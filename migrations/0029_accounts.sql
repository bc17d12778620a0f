-- Accounts: the state of an organization, its owner, its webhook and the person that may rotate its token.
-- An organization that exists already is active and uses the carriers of the installation.
ALTER TABLE organizations ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE organizations ADD COLUMN mode TEXT NOT NULL DEFAULT 'live';
ALTER TABLE organizations ADD COLUMN owner_email TEXT;
-- The normalized address: an address owns one registered organization. NULL if none is claimed.
ALTER TABLE organizations ADD COLUMN owner_key TEXT;
ALTER TABLE organizations ADD COLUMN admin_phone TEXT;
ALTER TABLE organizations ADD COLUMN terms_version TEXT;
ALTER TABLE organizations ADD COLUMN return_url TEXT;
ALTER TABLE organizations ADD COLUMN webhook_url TEXT;
-- The webhook's secret derives from it and from the encryption key. NULL before the verification.
ALTER TABLE organizations ADD COLUMN webhook_salt TEXT;
-- JSON.
ALTER TABLE organizations ADD COLUMN branding TEXT;
ALTER TABLE organizations ADD COLUMN settings TEXT;
ALTER TABLE organizations ADD COLUMN verified_at TIMESTAMPTZ;
-- When a pending organization is deleted.
ALTER TABLE organizations ADD COLUMN expires_at TIMESTAMPTZ;
-- When the rows of an erased organization are purged.
ALTER TABLE organizations ADD COLUMN erase_at TIMESTAMPTZ;

CREATE UNIQUE INDEX organizations_by_owner ON organizations (owner_key) WHERE owner_key IS NOT NULL;
CREATE INDEX organizations_to_expire ON organizations (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX organizations_to_erase ON organizations (erase_at) WHERE erase_at IS NOT NULL;
