-- Webhooks about an account, such as its verification, until the organization's host has received them.
CREATE TABLE account_notices (
    -- The delivery id: the same for all attempts.
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    -- JSON without secrets.
    body TEXT NOT NULL,
    -- The token that the body gets when it is sent. Encrypted, and deleted when the notice is delivered or dead.
    token BYTEA,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    tries BIGINT NOT NULL DEFAULT 0,
    failure TEXT,
    due_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ
);

CREATE INDEX account_notices_due ON account_notices (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX account_notices_of_org ON account_notices (org_id);
CREATE INDEX account_notices_by_state ON account_notices (state, created_at);
