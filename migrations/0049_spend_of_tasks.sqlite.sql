-- The tasks of an organization.
CREATE INDEX spend_of_tasks ON spend (org_id, scope) WHERE org_id IS NOT NULL;
