-- Webhook events that cannot be applied, unchanged, until an operator replays or drops them.
CREATE TABLE dead_letters (
    -- Of the stream and the position.
    id TEXT PRIMARY KEY,
    -- `unreadable`, or `data` for a data error of the database.
    reason TEXT NOT NULL,
    -- The entry of the stream. Message texts in it are encrypted.
    payload BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- The next sweep appends it to the stream again.
    replay_requested_at TIMESTAMPTZ
);

CREATE INDEX dead_letters_by_time ON dead_letters (created_at, id);
CREATE INDEX dead_letters_to_replay ON dead_letters (id) WHERE replay_requested_at IS NOT NULL;
