#!/usr/bin/env bash
# Stage 3: the baseline ridge on stsb, a row that keeps the table honest.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" baseline --task stsb --baseline ridge "$@"
