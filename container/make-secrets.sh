#!/bin/sh
# Makes container/secrets/ for compose.yaml: three tokens, the token file that holds their hashes, and a password for Grafana.
# `sh container/make-secrets.sh [FOLDER]`; refuses to replace what is there.
set -eu

folder=${1:-$(dirname "$0")/secrets}
if [ -e "$folder" ]; then
  echo "$folder exists already; remove it to make new secrets" >&2
  exit 1
fi
# Others on this machine can't enter the folder, so the files in it can be readable: compose hands them into containers as they
# are, where other users than this one read them.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

echo '# name scopes sha256-hex' >"$folder/scannery-tokens"
for line in 'reader read' 'writer read,write' 'prometheus read'; do
  name=${line% *} scopes=${line#* } token=$(random)
  printf %s "$token" >"$folder/$name-token"
  echo "$name $scopes $(printf %s "$token" | sha256sum | cut -d ' ' -f 1)" >>"$folder/scannery-tokens"
done
random >"$folder/grafana-password"
echo "wrote $folder"
