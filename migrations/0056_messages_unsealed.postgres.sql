-- no-transaction
CREATE INDEX CONCURRENTLY messages_unsealed ON messages (id)
    WHERE receipt_seq IS NULL AND status IN ('accepted', 'failed', 'unconfirmed');
