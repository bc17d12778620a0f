-- A pause that a person has made, who answers in place of the agent. A release without these columns takes it for a pause.
ALTER TABLE contact_pauses ADD COLUMN taken_by TEXT;
ALTER TABLE contact_pauses ADD COLUMN taken_at TIMESTAMPTZ;
