-- The role of Grafana's data source for the dashboard of one agent. It reads statuses, times, counts and costs, and no address,
-- no content and no secret. Run it once as the owner of the schema, and again after an upgrade:
--   psql "$DATABASE_URL" -v password="'…'" -f reader.sql
SELECT 'CREATE ROLE butt_dial_reader LOGIN' WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'butt_dial_reader') \gexec
ALTER ROLE butt_dial_reader PASSWORD :password;
-- Dashboards must not occupy the database.
ALTER ROLE butt_dial_reader SET statement_timeout = '10s';
ALTER ROLE butt_dial_reader SET default_transaction_read_only = on;
ALTER ROLE butt_dial_reader CONNECTION LIMIT 5;
GRANT SELECT (id, display_name, status, created_at) ON agents TO butt_dial_reader;
GRANT SELECT (id, agent_id, channel, carrier, status, failure, stage_error, cost, created_at) ON messages TO butt_dial_reader;
GRANT SELECT (agent_id, type, state, reason, created_at) ON events TO butt_dial_reader;
GRANT SELECT (agent_id, state, due_at) ON scheduled_sends TO butt_dial_reader;
GRANT SELECT (id, agent_id, direction, status, handled_by, answered_by, duration_seconds, turns, end_reason, error_code, created_at)
    ON calls TO butt_dial_reader;
GRANT SELECT ON usage TO butt_dial_reader;
