CREATE INDEX calls_of_org ON calls (org_id, created_at, id);
