-- The cost of tasks by day, for exports.
CREATE INDEX messages_of_tasks ON messages (org_id, day) WHERE task_id IS NOT NULL;
