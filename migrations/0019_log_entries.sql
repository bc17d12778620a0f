-- The entry of the durable stream that was read last, and its time. A bus that lost its last entries gives their numbers to new ones:
-- the position alone would take those for read.

ALTER TABLE log_positions ADD COLUMN entry_id TEXT;
ALTER TABLE log_positions ADD COLUMN applied_at TIMESTAMPTZ;
