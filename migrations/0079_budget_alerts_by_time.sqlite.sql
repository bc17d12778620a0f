-- Budgets that were announced within a day.
CREATE INDEX budget_alerts_by_time ON budget_alerts (created_at);
