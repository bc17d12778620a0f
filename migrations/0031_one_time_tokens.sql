-- Secrets that are used once or for a short time: of links in mails, of polling clients, of onboarding sessions, and invite
-- codes. Only their SHA-256 is stored: 256 random bits need no slow hash.
CREATE TABLE one_time_tokens (
    hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('verification', 'poll', 'onboarding', 'erasure', 'invite')),
    -- NULL: an invite. An organization that does not exist: the answer to a registration that changed nothing.
    org_id TEXT,
    -- JSON: the registration that a verification belongs to.
    detail TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);

CREATE INDEX one_time_tokens_of_org ON one_time_tokens (org_id, kind) WHERE org_id IS NOT NULL;
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);
