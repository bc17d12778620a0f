-- Kept texts by time, for their expiry.
CREATE INDEX messages_kept ON messages (created_at, id) WHERE kept IS NOT NULL;
