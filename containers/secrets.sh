#!/bin/sh
# Makes the secrets that docker-compose.yml reads, in containers/secrets or the folder given; those that are there stay.
# The files can be read by all, because in the containers each service reads them as another user; here nobody but their
# owner gets into the folder.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
cd "$folder"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }  # 256 bits that may stand in a URL
keep() { test -e "$1" || { cat > "$1.new" && chmod 444 "$1.new" && mv "$1.new" "$1"; }; }

random | keep postgres_password
printf 'postgresql://concord:%s@postgres/concord' "$(cat postgres_password)" | keep database_url
printf 'concord_%s' "$(random)" | keep admin_key
