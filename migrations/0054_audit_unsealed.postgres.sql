-- no-transaction
CREATE INDEX CONCURRENTLY audit_unsealed ON audit (at, id) WHERE seq IS NULL;
