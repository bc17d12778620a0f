-- How an agent speaks and listens on the phone: JSON. NULL: never set.
ALTER TABLE agents ADD COLUMN voice_settings TEXT;
