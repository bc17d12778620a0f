-- Rotation of the operator's key: the root of derived keys, encrypted with the key of the fingerprint, and whether contents
-- have keys of their own. Older releases can't read such contents, so they begin in new databases, or by order of the operator.
ALTER TABLE encryption_key ADD COLUMN root BYTEA;
ALTER TABLE encryption_key ADD COLUMN has_content_keys BOOLEAN NOT NULL DEFAULT FALSE;
