#!/bin/bash
# Dump the database PGDATABASE into BACKUP_DIR and keep the newest BACKUP_KEEP dumps; libpq's variables say where it is.
# A dump has its name only when it is whole and readable; anything else ends with an error and leaves nothing behind.
set -euo pipefail
: "${BACKUP_DIR:?}" "${BACKUP_KEEP:?}" "${PASSWORD_FILE:?}" "${PGDATABASE:?}"
PGPASSWORD=$(cat "$PASSWORD_FILE")
export PGPASSWORD
export PGCONNECT_TIMEOUT=20
# A pod that is seconds old may not have got its network yet.
for ((second = 0; second < ${WAIT_SECONDS:-60}; second++)); do
  pg_isready --quiet && break
  sleep 1
done

# What a killed run left; two at once are ruled out by the CronJob.
rm -f "$BACKUP_DIR"/marina-*.part
dump="$BACKUP_DIR/marina-$(date -u +%Y%m%dT%H%M%SZ).dump"
trap 'rm -f "$dump.part"' EXIT
pg_dump --format=custom --no-password --lock-wait-timeout=60s --file="$dump.part"
pg_restore --list "$dump.part" > /dev/null
sync "$dump.part"
mv "$dump.part" "$dump"
echo "wrote $dump, $(stat --format=%s "$dump") bytes"

# Names sort by time. Older dumps go only when the new one is safe.
find "$BACKUP_DIR" -maxdepth 1 -name 'marina-*.dump' | sort | head -n "-$BACKUP_KEEP" | while read -r old; do
  rm "$old"
  echo "deleted $old"
done
