-- no-transaction
CREATE INDEX CONCURRENTLY messages_kept ON messages (created_at, id) WHERE kept IS NOT NULL;
