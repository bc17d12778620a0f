-- The choices of organizations about the disclosure in first messages. NULL: the choice of the operator.
ALTER TABLE organizations ADD COLUMN discloses BOOLEAN;
ALTER TABLE organizations ADD COLUMN disclosure_text TEXT;
