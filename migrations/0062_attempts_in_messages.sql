-- A message has one attempt. It is part of the message's row: the table of attempts cost each send three pages. Its rows stay until
-- retention deletes them.
ALTER TABLE messages ADD COLUMN replica TEXT;
ALTER TABLE messages ADD COLUMN outcome TEXT;
ALTER TABLE messages ADD COLUMN settled_at TIMESTAMPTZ;
