-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY audit_sealed ON audit (coalesce(org_id, 'installation'), seq) WHERE seq IS NOT NULL;
