-- The audit log as a chain and a Merkle tree per organization: docs/AUDIT.md.

-- user, token, system or support; NULL in rows of earlier releases.
ALTER TABLE audit ADD COLUMN actor_kind TEXT;
ALTER TABLE audit ADD COLUMN state_before JSONB;
ALTER TABLE audit ADD COLUMN state_after JSONB;
-- A keyed hash of the network that the request came from.
ALTER TABLE audit ADD COLUMN source TEXT;
ALTER TABLE audit ADD COLUMN request_id TEXT;
-- The place in the log; NULL until the sealer has assigned it.
ALTER TABLE audit ADD COLUMN seq BIGINT;

-- The end of each log. A log is an organization, or `installation`.
CREATE TABLE audit_logs (
    log TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    chain BYTEA NOT NULL,
    sealer TEXT,
    lease_until TIMESTAMPTZ,
    -- The newest checkpoint.
    signed_size BIGINT NOT NULL DEFAULT 0,
    signed_root BYTEA,
    signed_at TIMESTAMPTZ
);

-- A row for each entry of a log, changes and outcomes of sends. Append-only.
CREATE TABLE audit_leaves (
    log TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('change', 'send')),
    -- The id of the audit row or of the message.
    ref TEXT NOT NULL,
    leaf BYTEA NOT NULL,
    chain BYTEA NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    -- The canonical text of a send: its message changes later. A change is in `audit`.
    entry TEXT,
    PRIMARY KEY (log, seq)
);

-- An entry is in a log once.
CREATE UNIQUE INDEX audit_leaves_by_ref ON audit_leaves (ref);

-- The roots of full tiles of 256 hashes, by level.
CREATE TABLE audit_nodes (
    log TEXT NOT NULL,
    level BIGINT NOT NULL,
    n BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (log, level, n)
);

CREATE TABLE audit_checkpoints (
    log TEXT NOT NULL,
    size BIGINT NOT NULL,
    note TEXT NOT NULL,
    signed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (log, size)
);

-- The name of this installation's key. One row.
CREATE TABLE audit_keys (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- The place of the outcome of a send in the log; NULL until the sealer has assigned it. Messages of earlier releases get no
-- receipts.
ALTER TABLE messages ADD COLUMN receipt_seq BIGINT;
UPDATE messages SET receipt_seq = -1;
