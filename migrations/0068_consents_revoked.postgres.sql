-- no-transaction
CREATE INDEX CONCURRENTLY consents_revoked ON consents (updated_at) WHERE status = 'revoked';
