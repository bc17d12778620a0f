-- Opt-outs by time, for the rate of an organization.
CREATE INDEX consents_revoked ON consents (updated_at) WHERE status = 'revoked';
