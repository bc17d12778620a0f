-- no-transaction
CREATE INDEX CONCURRENTLY messages_of_marketing ON messages (org_id, recipient, created_at) WHERE send_purpose = 'marketing';
