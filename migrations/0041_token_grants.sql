-- The grants of a token within its scope, as JSON; NULL: it is not restricted. `budget_id` is the first token with these grants:
-- tokens that replace one another share its budget.
ALTER TABLE tokens ADD COLUMN grants TEXT;
ALTER TABLE tokens ADD COLUMN budget_id TEXT;
-- The budget of a restricted token that pays for the message (`tok:<id>` in `spend`), with its caps for later charges.
ALTER TABLE messages ADD COLUMN budget_id TEXT;
ALTER TABLE messages ADD COLUMN budget_cap BIGINT;
ALTER TABLE messages ADD COLUMN budget_day_cap BIGINT;
