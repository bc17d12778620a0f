-- The alerts about budgets that were sent: one for each scope, period and percentage.
CREATE TABLE budget_alerts (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    threshold BIGINT NOT NULL,
    org_id TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, period, threshold)
);

CREATE INDEX budget_alerts_of_org ON budget_alerts (org_id);
