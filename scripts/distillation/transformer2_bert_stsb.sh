#!/usr/bin/env bash
# Stage 4: distils bert into transformer2 on stsb.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task stsb --teacher bert --student transformer2 "$@"
