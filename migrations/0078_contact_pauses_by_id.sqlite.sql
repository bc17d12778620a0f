-- A pause has an id for administrators. Its subject is that of its anomaly: both end together when a person dismisses the anomaly.
ALTER TABLE contact_pauses ADD COLUMN id TEXT;
ALTER TABLE contact_pauses ADD COLUMN subject TEXT;
UPDATE contact_pauses SET id = 'pau_' || lower(hex(randomblob(16)));
