-- The budgets of a day or month, for alerts.
CREATE INDEX spend_by_period ON spend (period);
