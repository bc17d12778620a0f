-- no-transaction
CREATE INDEX CONCURRENTLY challenges_by_time ON challenges (created_at);
