#!/bin/bash
# Put the database PGDATABASE back to what it was in a dump: RESTORE_FILE names one in BACKUP_DIR, empty takes the newest.
# All in one transaction: when it fails, nothing has changed.
set -euo pipefail
: "${BACKUP_DIR:?}" "${PASSWORD_FILE:?}" "${PGDATABASE:?}"
PGPASSWORD=$(cat "$PASSWORD_FILE")
export PGPASSWORD
export PGCONNECT_TIMEOUT=20
# A pod that is seconds old may not have got its network yet.
for ((second = 0; second < ${WAIT_SECONDS:-60}; second++)); do
  pg_isready --quiet && break
  sleep 1
done

file=${RESTORE_FILE:-$(find "$BACKUP_DIR" -maxdepth 1 -name 'marina-*.dump' -printf '%f\n' | sort | tail -n 1)}
if [ -z "$file" ] || [ ! -f "$BACKUP_DIR/$file" ]; then
  echo "there is no dump ${file:-at all} in $BACKUP_DIR; there are:" >&2
  find "$BACKUP_DIR" -maxdepth 1 -name 'marina-*.dump' -printf '  %f\n' | sort >&2
  exit 1
fi

# Numbers of versions that were given after the dump are not given again: the database that is replaced knows them.
numbers="$BACKUP_DIR/$file.numbers.part"
known=$(psql --no-psqlrc --no-password --quiet --tuples-only --no-align \
  --command="select 1 where to_regclass('version_numbers') is not null")
if [ -n "$known" ]; then
  psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 \
    --command="\\copy (select experiment, last from version_numbers) to '$numbers'"
fi

# First the whole dump as SQL, so that a damaged one is found before anything is dropped.
script="$BACKUP_DIR/$file.sql.part"
trap 'rm -f "$script" "$script.after" "$numbers"' EXIT
pg_restore --no-owner --no-privileges --file="$script" "$BACKUP_DIR/$file"
{
  # A dump sets the path of the session to nothing. What a dump from before these tables lacks stays in tables of its own,
  # from which the migrations that make them take it.
  echo "set search_path = public;"
  echo "create table restored_numbers (experiment text, last integer);"
  if [ -n "$known" ]; then echo "\\copy restored_numbers from '$numbers'"; fi
  if grep -q '^COPY [^ ]*version_numbers ' "$script"; then
    # Of what the database that is replaced does not know, nobody knows how many were given since; so many were not.
    echo "update version_numbers v set last = last + 1000"
    echo "  where not exists (select from restored_numbers g where g.experiment = v.experiment and g.last >= v.last);"
    echo "insert into version_numbers select experiment, last from restored_numbers"
    echo "  on conflict (experiment) do update set last = greatest(version_numbers.last, excluded.last);"
    echo "drop table restored_numbers;"
  fi
  if grep -q '^COPY [^ ]*restores ' "$script"; then
    echo "insert into restores (dump) values ('${file//\'/}');"
  else
    echo "create table restored_dumps (dump text, restored_at timestamptz not null default now());"
    echo "insert into restored_dumps (dump) values ('${file//\'/}');"
  fi
} > "$script.after"
cat "$script.after" >> "$script"
# Everything goes, not only what is in the dump: tables of a later release would stop its migrations.
psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --single-transaction --output=/dev/null \
  --command="set local lock_timeout = '60s'" --command="drop owned by current_user" --file="$script"
echo "restored $BACKUP_DIR/$file"
echo "deployments that it does not know go on until somebody confirms the restore: see GET /v1/restore"
