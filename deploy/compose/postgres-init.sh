#!/bin/sh
# Runs once, when the data directory is empty. Creates the user of the replicas, which may read and write the tables of the
# schema's owner and not change the schema.
set -eu
# The password is a variable of psql, so that it needs no quotes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/database_password)" \
  --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE butt_dial LOGIN PASSWORD :'password';
GRANT USAGE ON SCHEMA public TO butt_dial;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO butt_dial;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO butt_dial;
SQL
