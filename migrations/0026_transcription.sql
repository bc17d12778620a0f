-- Whether recordings that people send to the organization are transcribed. The vendor hears them.
ALTER TABLE organizations ADD COLUMN transcribes BOOLEAN NOT NULL DEFAULT TRUE;
