-- no-transaction
CREATE INDEX CONCURRENTLY scheduled_sends_of_org ON scheduled_sends (org_id, bytes) WHERE state = 'scheduled';
