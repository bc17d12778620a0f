-- The tasks of an organization.
CREATE INDEX spend_of_tasks ON spend (task_org_id, scope) WHERE task_org_id IS NOT NULL;
