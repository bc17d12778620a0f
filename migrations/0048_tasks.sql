-- The task that a message belongs to, as its sender names it.
ALTER TABLE messages ADD COLUMN task_id TEXT;
-- The organization, in rows of tasks (`task:<organization id>/<task id>`, period `total`). A column `org_id` would hide the one of
-- an outer query in statements of earlier releases.
ALTER TABLE spend ADD COLUMN task_org_id TEXT;
-- The budget of a task for its whole life. Each row of a task has one in `spend` as well.
ALTER TABLE limits ADD COLUMN max_spend BIGINT;
