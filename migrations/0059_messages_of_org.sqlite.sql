CREATE INDEX messages_of_org ON messages (org_id, created_at, id);
