#!/bin/bash
# Run once by the image, when it has made an empty database: the role of the product owns its database and is no
# superuser, so that whoever gets hold of it can neither run programs nor read files. The image sources this file.
psql -v ON_ERROR_STOP=1 --no-password --username postgres --dbname postgres <<'SQL'
\set password `cat /run/secrets/postgres/password`
create role marina login password :'password';
create database marina owner marina;
revoke connect on database marina from public;
SQL
touch "$PGDATA/marina-role-made"
