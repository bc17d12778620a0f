-- Outcomes of sends that the sealer has not put into a log.
CREATE INDEX messages_unsealed ON messages (id)
    WHERE receipt_seq IS NULL AND status IN ('accepted', 'failed', 'unconfirmed');
