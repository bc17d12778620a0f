-- no-transaction
CREATE INDEX CONCURRENTLY messages_of_org ON messages (org_id, created_at, id);
