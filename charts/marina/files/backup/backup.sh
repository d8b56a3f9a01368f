#!/bin/bash
# Dump the database PGDATABASE into BACKUP_DIR and keep the newest BACKUP_KEEP dumps; libpq's variables say where it is.
# A dump has its name only when it is whole and readable; anything else ends with an error and leaves nothing behind.
# Beside it lies its manifest, a line for each stored object that its rows need: kind, sha256, size. It is read from the
# dump itself, so that both are of one moment; the grace time keeps the bytes until they are copied.
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
manifest="${dump%.dump}.manifest"
trap 'rm -f "$dump.part" "$manifest.part"' EXIT
pg_dump --format=custom --no-password --lock-wait-timeout=60s --file="$dump.part"
contents=$(pg_restore --list "$dump.part")
if [[ $contents == *' TABLE DATA '*' stored_objects '* ]]; then
  # Columns as the table has them; the fifth says since when nothing needs the object.
  pg_restore --data-only --table=stored_objects --file=- "$dump.part" | awk -F '\t' '
    /^COPY .*\(kind, sha256, size, created_at, unreferenced_since,/ { inside = 1; next }
    /^\\\.$/ { inside = 0 }
    inside && $5 == "\\N" { print $1, $2, $3 }' > "$manifest.part"
  sync "$manifest.part"
  mv "$manifest.part" "$manifest"
fi
sync "$dump.part"
mv "$dump.part" "$dump"
echo "wrote $dump, $(stat --format=%s "$dump") bytes"

# Names sort by time. Older dumps go only when the new one is safe.
find "$BACKUP_DIR" -maxdepth 1 -name 'marina-*.dump' | sort | head -n "-$BACKUP_KEEP" | while read -r old; do
  rm -f "$old" "${old%.dump}.manifest"
  echo "deleted $old"
done
