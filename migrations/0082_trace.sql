-- How long the stages of a send took, and when the reconciler looked at the carrier: see sends/trace.rs. Short, and written with the
-- outcome. NULL: no outcome yet, or of a former release.
ALTER TABLE messages ADD COLUMN trace TEXT;
