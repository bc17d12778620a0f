-- By which key what is kept was encrypted: a value made from it, from which it can't be found. One row.

CREATE TABLE encryption_key (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    fingerprint TEXT NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL
);
