-- Limits, money and usage. `scope` is `agt:<agent id>` or `org:<organization id>`.

CREATE TABLE limits (
    scope TEXT PRIMARY KEY,
    max_actions_per_minute BIGINT,
    max_actions_per_hour BIGINT,
    max_actions_per_day BIGINT,
    max_spend_per_day BIGINT,
    max_spend_per_month BIGINT,
    updated_at TIMESTAMPTZ NOT NULL
);

-- Money of one scope in one calendar period (`2026-11-22` or `2026-11`), in micro-units.
-- `cap` is the limit that the last write asserted: a reservation writes the limit in force and the CHECK refuses it when
-- it would overspend; a settlement writes NULL, because what has been spent can't be refused any more.
CREATE TABLE spend (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    held BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    cap BIGINT,
    PRIMARY KEY (scope, period),
    CONSTRAINT spend_within_cap CHECK (cap IS NULL OR held + settled <= cap)
);

CREATE TABLE usage (
    agent_id TEXT NOT NULL,
    day TEXT NOT NULL,
    channel TEXT NOT NULL,
    org_id TEXT NOT NULL,
    messages BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (agent_id, day, channel)
);

CREATE INDEX usage_by_org ON usage (org_id, day);
