-- Filters of lists that a person of the console has given a name. They hold no address.
CREATE TABLE console_filters (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- The query of the page.
    query TEXT NOT NULL,
    saved_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, user_id, name)
);
