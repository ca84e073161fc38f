#!/bin/bash
# Makes the databases of the stack, each with an owner of its own. Run by the image of PostgreSQL when its volume is empty.
set -euo pipefail

create() {
    # :'password' is quoted by psql; it reaches the server as a value whatever it holds
    psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname postgres -v name="$1" -v password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
}

create mlflow "${MLFLOW_DB_PASSWORD:?}"
create purchases "${PURCHASES_DB_PASSWORD:?}"
{
    echo "SET ROLE purchases;"
    cat "${SCHEMA:-/schema.sql}"
} | psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname purchases
