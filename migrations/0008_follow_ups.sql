-- What follows from what came in: the next channel after a failure, an answer to HELP, a text that comes late.

-- The request on the next channel, for when a carrier took the message and failed it later. Encrypted; gone as soon as that
-- can't happen any more.
ALTER TABLE messages ADD COLUMN fallback BYTEA;

CREATE INDEX messages_with_fallback ON messages (created_at) WHERE fallback IS NOT NULL;

-- The agent has not asked for it, and is not told what becomes of it.
ALTER TABLE scheduled_sends ADD COLUMN is_quiet BOOLEAN NOT NULL DEFAULT FALSE;

-- It went out without its text: when somebody asks for that again.
ALTER TABLE events ADD COLUMN refetch_at TIMESTAMPTZ;

CREATE INDEX events_without_text ON events (refetch_at) WHERE refetch_at IS NOT NULL;
