-- Spam complaints by time. Few messages have one, so the index is small.
CREATE INDEX messages_complained ON messages (complained_at) WHERE complained_at IS NOT NULL;
