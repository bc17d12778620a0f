-- Finds subaccounts with another status at the vendor than their organization has here. Both tables are small.
CREATE INDEX organizations_suspended ON organizations (id) WHERE status = 'suspended';
CREATE INDEX provider_accounts_suspended ON provider_accounts (org_id) WHERE status = 'suspended';
