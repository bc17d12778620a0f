-- A keyed hash of the network that used the token last: it compares addresses without storing them.
ALTER TABLE tokens ADD COLUMN last_used_from TEXT;
-- The one that set the status of an agent, `agent` or `admin`, and the reason: an agent can't undo the decision of an administrator.
ALTER TABLE agents ADD COLUMN status_by TEXT;
ALTER TABLE agents ADD COLUMN status_reason TEXT;
