-- A scheduled send can wait for the approval of a person: pending, approved, rejected. It expires when it is due.
ALTER TABLE scheduled_sends ADD COLUMN approval TEXT;
-- The rule that demands the approval.
ALTER TABLE scheduled_sends ADD COLUMN approval_rule TEXT;
-- When an approved message is sent; NULL: at once.
ALTER TABLE scheduled_sends ADD COLUMN send_at TIMESTAMPTZ;
CREATE INDEX scheduled_sends_pending_approval ON scheduled_sends (org_id, id) WHERE approval = 'pending' AND state = 'scheduled';
