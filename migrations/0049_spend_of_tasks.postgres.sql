-- no-transaction
CREATE INDEX CONCURRENTLY spend_of_tasks ON spend (org_id, scope) WHERE org_id IS NOT NULL;
