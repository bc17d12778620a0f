-- Alerts about causes that a person should look at, the routes to people, and notifications that are not sent yet.

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    -- NULL: about the installation.
    org_id TEXT,
    kind TEXT NOT NULL,
    -- One open alert has it: the same cause counts up.
    fingerprint TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    title TEXT NOT NULL,
    evidence JSONB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    occurrences BIGINT NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    -- The actor that acknowledged or resolved it.
    changed_by TEXT,
    changed_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX alerts_open ON alerts (coalesce(org_id, 'installation'), kind, fingerprint) WHERE state <> 'resolved';
CREATE INDEX alerts_of_org ON alerts (coalesce(org_id, 'installation'), id);

CREATE TABLE alert_routes (
    id TEXT PRIMARY KEY,
    org_id TEXT,
    kind TEXT NOT NULL,
    -- Address, URL and keys. Encrypted.
    target BYTEA NOT NULL,
    -- The target as lists show it.
    hint TEXT NOT NULL,
    -- The lowest severity that it takes.
    severity TEXT NOT NULL,
    -- Only alerts that were not acknowledged in time.
    is_escalation BOOLEAN NOT NULL,
    -- Minutes after midnight UTC; NULL: none.
    quiet_from BIGINT,
    quiet_until BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    -- Messages since `window_at`, the beginning of the hour that the budget counts.
    window_at TIMESTAMPTZ,
    window_count BIGINT NOT NULL DEFAULT 0,
    -- The next message leaves then or later.
    free_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX alert_routes_of_org ON alert_routes (coalesce(org_id, 'installation'), id);

CREATE TABLE alert_notifications (
    route_id TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    -- opened, escalated or resolved.
    reason TEXT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (route_id, alert_id, reason)
);

CREATE INDEX alert_notifications_due ON alert_notifications (due_at, route_id);
CREATE INDEX alert_notifications_of_alert ON alert_notifications (alert_id);
