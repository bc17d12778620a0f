-- Contacts that an agent does not write to for a time, because a program answers there.
CREATE TABLE contact_pauses (
    agent_id TEXT NOT NULL,
    -- The key of the person (contact_key).
    contact TEXT NOT NULL,
    org_id TEXT NOT NULL,
    until_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (agent_id, contact)
);

CREATE INDEX contact_pauses_of_org ON contact_pauses (org_id, contact);
