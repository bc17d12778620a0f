-- A pause has an id for administrators, also one that a release without this column writes. Its subject is that of its anomaly: both
-- end together when a person dismisses the anomaly.
ALTER TABLE contact_pauses ADD COLUMN id TEXT NOT NULL DEFAULT ('pau_' || md5(random()::TEXT || clock_timestamp()::TEXT));
ALTER TABLE contact_pauses ADD COLUMN subject TEXT;
