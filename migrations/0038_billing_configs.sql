-- The tier, markup and invoice address of an agent, or of an organization for its agents without their own.
CREATE TABLE billing_configs (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    -- The agent, or an empty text for the organization.
    agent_id TEXT NOT NULL,
    tier TEXT,
    -- Hundredths of a percent.
    markup BIGINT,
    billing_email TEXT,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, agent_id)
);
