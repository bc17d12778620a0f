-- Until when the rent of a bought number is charged. NULL: by a release that charged only the first month.
ALTER TABLE channels ADD COLUMN rent_paid_until TIMESTAMPTZ;
