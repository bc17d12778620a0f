-- The task that a message belongs to, as its sender names it.
ALTER TABLE messages ADD COLUMN task_id TEXT;
-- The organization, in rows of tasks (`task:<organization id>/<task id>`, period `total`).
ALTER TABLE spend ADD COLUMN org_id TEXT;
-- The budget of a task for its whole life. Each row of a task has one in `spend` as well.
ALTER TABLE limits ADD COLUMN max_spend BIGINT;
