-- The limits of an organization's scheduled sends.
CREATE INDEX scheduled_sends_of_org ON scheduled_sends (org_id, bytes) WHERE state = 'scheduled';
