-- no-transaction
CREATE INDEX CONCURRENTLY messages_complained ON messages (complained_at) WHERE complained_at IS NOT NULL;
