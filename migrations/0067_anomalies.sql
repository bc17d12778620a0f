-- Anomalies: unusual traffic, the baselines of usual traffic, announced campaigns, and temporary restraints of agents.

-- When a person has reported a mail as spam. The status of the message stays.
ALTER TABLE messages ADD COLUMN complained_at TIMESTAMPTZ;

CREATE TABLE anomalies (
    id TEXT PRIMARY KEY,
    -- NULL: of the installation.
    org_id TEXT,
    agent_id TEXT,
    detector TEXT NOT NULL,
    -- Identifies the cause within its detector and organization. Holds no address.
    subject TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    reaction TEXT NOT NULL CHECK (reaction IN ('alert', 'throttle', 'confirm', 'suspend')),
    explanation TEXT NOT NULL,
    -- The numbers that tripped the detector.
    numbers JSONB NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    -- NULL: its alert is not raised yet.
    alerted_at TIMESTAMPTZ,
    -- When the program has restrained the agent. It does so once.
    reacted_at TIMESTAMPTZ,
    dismissed_at TIMESTAMPTZ,
    dismissed_by TEXT,
    ended_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX anomalies_open ON anomalies (coalesce(org_id, 'installation'), detector, subject) WHERE ended_at IS NULL;
CREATE INDEX anomalies_of_org ON anomalies (coalesce(org_id, 'installation'), id);
CREATE INDEX anomalies_of_agent ON anomalies (agent_id) WHERE agent_id IS NOT NULL;

-- The usual value of a number per bucket of five minutes, as a moving average.
CREATE TABLE anomaly_baselines (
    org_id TEXT NOT NULL,
    -- Empty: the whole organization.
    agent_id TEXT NOT NULL,
    metric TEXT NOT NULL,
    -- The hour of the week in UTC, from Monday; -1: of the last hours; -2: the largest value.
    slot BIGINT NOT NULL,
    mean DOUBLE PRECISION NOT NULL,
    samples BIGINT NOT NULL,
    -- The newest bucket that is part of it.
    bucket BIGINT NOT NULL,
    PRIMARY KEY (org_id, agent_id, metric, slot)
);

-- The countries that an organization has sent to.
CREATE TABLE anomaly_countries (
    org_id TEXT NOT NULL,
    country TEXT NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, country)
);

CREATE TABLE announced_campaigns (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    -- NULL: all agents.
    agent_id TEXT,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    -- Messages and calls that are expected.
    volume BIGINT NOT NULL,
    note TEXT,
    announced_by TEXT NOT NULL,
    -- Sent since its beginning, until a time. Later messages are counted when they are needed.
    sent BIGINT NOT NULL,
    counted_until TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX announced_campaigns_of_org ON announced_campaigns (org_id, id);
CREATE INDEX announced_campaigns_by_end ON announced_campaigns (ends_at);

-- Temporary restraints of agents. They end by themselves.
CREATE TABLE agent_restraints (
    agent_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('throttle', 'confirm')),
    org_id TEXT NOT NULL,
    anomaly_id TEXT NOT NULL,
    -- Of a throttle.
    max_per_minute BIGINT,
    until_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (agent_id, kind)
);

CREATE INDEX agent_restraints_of_anomaly ON agent_restraints (anomaly_id);
