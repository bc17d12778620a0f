-- no-transaction
CREATE INDEX CONCURRENTLY events_kept ON events (created_at, id) WHERE kept IS NOT NULL;
