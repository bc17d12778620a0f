-- Passkeys (WebAuthn) of people who sign in to the console. A person without a password has the empty text as the hash of it, which
-- no password has.
CREATE TABLE console_passkeys (
    -- Base64url. No two people have the same.
    credential_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    -- The name of the person towards authenticators: random, base64url.
    user_handle TEXT NOT NULL,
    -- The host that the browser has bound the passkey to.
    rp_id TEXT NOT NULL,
    -- Chosen by the person.
    name TEXT NOT NULL,
    -- COSE, base64url.
    public_key TEXT NOT NULL,
    sign_count BIGINT NOT NULL,
    -- May be synchronized between devices, and is.
    is_backup_eligible BOOLEAN NOT NULL,
    is_backed_up BOOLEAN NOT NULL,
    -- How browsers reach the authenticator, such as `internal,hybrid`.
    transports TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ
);

CREATE INDEX console_passkeys_of_user ON console_passkeys (user_id);
