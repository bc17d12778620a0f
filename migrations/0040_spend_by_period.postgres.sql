-- no-transaction
CREATE INDEX CONCURRENTLY spend_by_period ON spend (period);
