-- Kept texts by time, for their expiry.
CREATE INDEX events_kept ON events (created_at, id) WHERE kept IS NOT NULL;
