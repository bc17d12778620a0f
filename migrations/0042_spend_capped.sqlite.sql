CREATE INDEX spend_capped ON spend (period) WHERE cap IS NOT NULL;
