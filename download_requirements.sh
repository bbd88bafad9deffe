#!/usr/bin/env bash
# Fetches the encoders that teachers start from into data/encoders, checked; what is there stays.
#
# Usage   ./download_requirements.sh [TEACHER...]       default: minilm, which needs no model hub
#
#   ./download_requirements.sh minilm bert
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case ${1:-} in
  -h | --help) sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}" && exit ;;
esac
[ $# -gt 0 ] || set -- minilm
for teacher in "$@"; do
  "$here/scripts/distillery" fetch --teacher "$teacher"
done
