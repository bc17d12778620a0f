-- For how many days an organization keeps the texts of its messages for the people who read its inbox. NULL: it never did. 0: no more.
ALTER TABLE organizations ADD COLUMN keep_texts_days BIGINT;
-- The same decision beside each agent, so that an event is written with what the row of its agent says.
ALTER TABLE agents ADD COLUMN keeps_texts BOOLEAN NOT NULL DEFAULT FALSE;
-- Encrypted copies. `content` is deleted when a message is settled or its agent has it; these stay for the days above.
ALTER TABLE messages ADD COLUMN kept BYTEA;
ALTER TABLE events ADD COLUMN kept BYTEA;
