-- An organization can want approvals after its agent has read a text that resembles instructions; the time until which they are needed.
ALTER TABLE organizations ADD COLUMN confirms_tainted BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE agents ADD COLUMN tainted_until TIMESTAMPTZ;
