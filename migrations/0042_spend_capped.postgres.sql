-- no-transaction
CREATE INDEX CONCURRENTLY spend_capped ON spend (period) WHERE cap IS NOT NULL;
