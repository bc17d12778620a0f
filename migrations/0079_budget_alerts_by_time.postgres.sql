-- no-transaction
CREATE INDEX CONCURRENTLY budget_alerts_by_time ON budget_alerts (created_at);
