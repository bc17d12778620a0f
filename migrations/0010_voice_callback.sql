-- Where an agent's host takes what happens in calls, if not where it takes everything else.

ALTER TABLE agents ADD COLUMN voice_callback_url TEXT;
