-- Rows that the sealer has not put into a log.
CREATE INDEX audit_unsealed ON audit (at, id) WHERE seq IS NULL;
