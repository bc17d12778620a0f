-- Choices of an organization about compliance. `refuses_waiting`: a message outside its allowed hours is refused and not scheduled.
ALTER TABLE organizations ADD COLUMN refuses_waiting BOOLEAN NOT NULL DEFAULT FALSE;
-- For the footer of marketing mails.
ALTER TABLE organizations ADD COLUMN postal_address TEXT;
