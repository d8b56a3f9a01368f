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

# First the whole dump as SQL, so that a damaged one is found before anything is dropped.
script="$BACKUP_DIR/$file.sql.part"
trap 'rm -f "$script"' EXIT
pg_restore --no-owner --no-privileges --file="$script" "$BACKUP_DIR/$file"
# Everything goes, not only what is in the dump: tables of a later release would stop its migrations.
psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --single-transaction --output=/dev/null \
  --command="set local lock_timeout = '60s'" --command="drop owned by current_user" --file="$script"
echo "restored $BACKUP_DIR/$file"
