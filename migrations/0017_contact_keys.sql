-- The person behind the address of a scheduled send (`contact_key`), so that an opt-out cancels it in whatever spelling, and
-- on whatever channel of the same number. NULL: of a former release, which knows the recipient only.
ALTER TABLE scheduled_sends ADD COLUMN contact TEXT;
-- Of the stored request. An agent may have a limited number of bytes scheduled.
ALTER TABLE scheduled_sends ADD COLUMN bytes BIGINT;
-- A process is sending it until then: it cannot be cancelled any more.
ALTER TABLE scheduled_sends ADD COLUMN claimed_until TIMESTAMPTZ;
-- The action was taken from the limits when it was scheduled.
ALTER TABLE scheduled_sends ADD COLUMN is_counted BOOLEAN NOT NULL DEFAULT FALSE;

CREATE INDEX scheduled_sends_of_contact ON scheduled_sends (org_id, contact) WHERE state = 'scheduled';
CREATE INDEX scheduled_sends_of_agent ON scheduled_sends (agent_id, due_at, id, bytes) WHERE state = 'scheduled';

-- Consent is stored by the key of the person. Rows for another spelling hold for the key.
INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, lower(address), status, source, updated_at FROM consents
WHERE channel = 'email' AND status = 'revoked' AND address <> lower(address)
ON CONFLICT DO NOTHING;

INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, '+52' || substr(address, 5), status, source, updated_at FROM consents
WHERE status = 'revoked' AND address LIKE '+521%' AND length(address) = 14
ON CONFLICT DO NOTHING;

INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, '+54' || substr(address, 5), status, source, updated_at FROM consents
WHERE status = 'revoked' AND address LIKE '+549%' AND length(address) = 14
ON CONFLICT DO NOTHING;

INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, substr(address, 1, 5) || substr(address, 7), status, source, updated_at FROM consents
WHERE status = 'revoked' AND address LIKE '+55__9%' AND length(address) = 14 AND substr(address, 7, 1) >= '6'
ON CONFLICT DO NOTHING;

INSERT INTO suppressions (org_id, channel, address, reason, created_at)
SELECT org_id, channel, lower(address), reason, created_at FROM suppressions
WHERE address LIKE '%@%' AND address <> lower(address)
ON CONFLICT DO NOTHING;
