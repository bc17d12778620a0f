-- The key of an agent's callbacks: derived from its generation. During a rotation, the former generation signs as well.
ALTER TABLE agents ADD COLUMN callback_key_generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN callback_key_overlap_until TIMESTAMPTZ;
