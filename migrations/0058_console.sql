-- The console: how people sign in, their sessions, invitations, and the claim of the installation.
CREATE TABLE console_users (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- Argon2id, as a PHC string.
    password_hash TEXT NOT NULL,
    -- The secret of one-time passwords is derived from it. It grows when the secret is replaced.
    otp_generation BIGINT NOT NULL DEFAULT 0,
    -- The time step of the last code that was used. NULL: the owner has not confirmed the secret.
    otp_step BIGINT,
    -- May see and change the installation, not only organizations.
    is_operator BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE console_recovery_codes (
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    -- Keyed hash.
    code_hash TEXT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE console_sessions (
    -- SHA-256 of the secret in the cookie.
    id_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    -- The organization that the pages show.
    org_id TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    -- When its person last proved to be the one that signed in.
    confirmed_at TIMESTAMPTZ NOT NULL,
    -- Masked.
    address TEXT NOT NULL,
    browser TEXT NOT NULL
);

CREATE INDEX console_sessions_of_user ON console_sessions (user_id);
CREATE INDEX console_sessions_by_expiry ON console_sessions (expires_at);

-- Links for people who join an organization, or who can't sign in any more.
CREATE TABLE console_invitations (
    -- SHA-256 of the secret in the link.
    token_hash TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'billing', 'viewer')),
    -- The address of the person, or `operator`.
    invited_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);

CREATE INDEX console_invitations_of_org ON console_invitations (org_id, created_at);

-- At most one row: the installation has an owner.
CREATE TABLE console_claims (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    user_id TEXT NOT NULL,
    claimed_at TIMESTAMPTZ NOT NULL
);

-- Steps of the set-up that a person has completed or left out.
CREATE TABLE console_marks (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    mark TEXT NOT NULL,
    marked_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, mark)
);
