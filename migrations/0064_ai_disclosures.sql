-- People who have been told, on this channel, that an AI assistant writes to them.
CREATE TABLE ai_disclosures (
    org_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- The key of the person (contact_key).
    contact TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, channel, contact)
);
