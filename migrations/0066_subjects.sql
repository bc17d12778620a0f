-- The rights of a person: jobs that export or erase what an organization has about a person, and holds that stop erasure.

CREATE TABLE subject_jobs (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('access', 'erase')),
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    -- A keyed hash of the key of the person.
    contact_hash TEXT NOT NULL,
    -- The keys of the person. Encrypted; NULL once the job has ended.
    subject BYTEA,
    -- The id of a token.
    actor TEXT NOT NULL,
    -- The step in progress, and how far it is: JSON.
    step TEXT NOT NULL,
    place TEXT NOT NULL,
    -- Rows by step: JSON.
    progress TEXT NOT NULL,
    failure TEXT,
    -- Grows with each claim: a process that lost its claim writes nothing any more.
    fence BIGINT NOT NULL,
    -- Until then, one process works on it.
    lease_until TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ
);

CREATE INDEX subject_jobs_due ON subject_jobs (lease_until) WHERE state = 'running';
CREATE INDEX subject_jobs_of_contact ON subject_jobs (org_id, contact_hash);

-- The archives of access jobs, in parts.
CREATE TABLE subject_archives (
    job_id TEXT NOT NULL,
    part BIGINT NOT NULL,
    org_id TEXT NOT NULL,
    -- JSON lines. Encrypted.
    lines BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (job_id, part)
);

CREATE INDEX subject_archives_of_org ON subject_archives (org_id);
CREATE INDEX subject_archives_by_time ON subject_archives (created_at);

-- Resources of an erased person at vendors, and what became of their deletion.
CREATE TABLE subject_receipts (
    job_id TEXT NOT NULL,
    vendor TEXT NOT NULL,
    resource TEXT NOT NULL,
    org_id TEXT NOT NULL,
    -- message, call or recording.
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- The organization's own address, by which the account at the vendor is found.
    own_address TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'deleted', 'missing', 'unsupported', 'failed')),
    tries BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (job_id, vendor, resource)
);

CREATE INDEX subject_receipts_of_org ON subject_receipts (org_id);

-- A hold of an organization has one row with `*`; a hold of a person has one row for each address, by keyed hash.
CREATE TABLE legal_holds (
    org_id TEXT NOT NULL,
    contact_hash TEXT NOT NULL,
    id TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, contact_hash)
);
