-- The rows of a log in their order.
CREATE UNIQUE INDEX audit_sealed ON audit (coalesce(org_id, 'installation'), seq) WHERE seq IS NOT NULL;
