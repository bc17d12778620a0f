-- The key of an agent's callbacks: derived from its generation. During a rotation, the former generation signs as well.
ALTER TABLE agents ADD COLUMN callback_key_generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN callback_key_overlap_until TIMESTAMPTZ;

-- Hosts that verify callbacks already keep the organization's key, generation -1, until they rotate it.
UPDATE agents SET callback_key_generation = -1 WHERE callback_url IS NOT NULL OR voice_callback_url IS NOT NULL;
