-- no-transaction
CREATE INDEX CONCURRENTLY messages_of_tasks ON messages (org_id, day) WHERE task_id IS NOT NULL;
