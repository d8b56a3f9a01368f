#!/bin/bash
# Before the server starts: reject data of another major version, and move aside what an interrupted first start left.
#
# The image makes the data folder and then runs create-role.sh. If it is killed between the two, its next start takes
# the folder for finished, and the role is missing for ever. create-role.sh therefore leaves a mark at its end.
set -euo pipefail
root=$(dirname "$(dirname "$PGDATA")")
major=$(basename "$(dirname "$PGDATA")")
mark="$PGDATA/marina-role-made"

for version in "$root"/*/docker/PG_VERSION "$root"/data/PG_VERSION "$root"/PG_VERSION; do
  [ -e "$version" ] || continue
  found=$(cat "$version")
  if [ "$found" != "$major" ]; then
    echo "the volume has data of Postgres $found and this is $major: dump it with the old release and restore the dump into a new volume" >&2
    exit 1
  fi
done

if [ -e "$PGDATA/PG_VERSION" ] && [ ! -e "$mark" ]; then
  aside="$root/unfinished-$(date -u +%Y%m%dT%H%M%SZ)"
  echo "the first start did not finish: its data is put aside as $aside" >&2
  mv "$PGDATA" "$aside"
fi
