#!/bin/bash
# Dump the database PGDATABASE into BACKUP_DIR and keep the newest BACKUP_KEEP dumps; libpq's variables say where it is.
# A dump has its name only when it is whole and readable; anything else ends with an error and leaves nothing behind.
# Beside it lies its manifest, a line for each stored object that its rows need: kind, sha256, size, and what was wrong with
# it if anything was; in a line with # before it the installation's id. It is read from the dump itself, so that both are
# of one moment; the grace time keeps the bytes until they are copied.
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
# Names sort by time: by the database's, as nodes differ, and after the newest there is, should a clock have gone wrong.
newest=$(find "$BACKUP_DIR" -maxdepth 1 -name 'marina-*.dump' -printf '%f\n' \
  | sed -n 's/^marina-\([0-9]\{8\}T[0-9]\{6\}\)Z\.dump$/\1/p' | sort | tail -n 1)
time=$(psql --no-psqlrc --no-password --quiet --tuples-only --no-align --command="
  select to_char(greatest(now() at time zone 'utc', '${newest:-19700101T000000}'::timestamp + interval '1 second'),
                 'YYYYMMDD\"T\"HH24MISS\"Z\"')")
dump="$BACKUP_DIR/marina-$time.dump"
manifest="${dump%.dump}.manifest"
trap 'rm -f "$dump.part" "$manifest.part"' EXIT
pg_dump --format=custom --no-password --lock-wait-timeout=60s --file="$dump.part"
contents=$(pg_restore --list "$dump.part")
if [[ $contents == *' TABLE DATA '*' stored_objects '* ]]; then
  pg_restore --data-only --table=stored_objects --table=installations --file=- "$dump.part" | awk -F '\t' '
    /^COPY / {
      table = $0; sub(/^COPY ([^ .]*\.)?/, "", table); sub(/ .*/, "", table)
      columns = $0; sub(/^[^(]*\(/, "", columns); sub(/\).*/, "", columns)
      split("", at); count = split(columns, names, ", ")
      for (place = 1; place <= count; place++) at[names[place]] = place
      next
    }
    /^\\\.$/ { table = "" }
    table == "installations" { print "# installation " $at["id"] }
    table == "stored_objects" && $at["unreferenced_since"] == "\\N" {
      problem = "problem" in at ? $at["problem"] : "\\N"
      print $at["kind"], $at["sha256"], $at["size"] (problem == "\\N" ? "" : " " problem)
    }' > "$manifest.part"
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
