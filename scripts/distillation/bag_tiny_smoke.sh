#!/usr/bin/env bash
# Stage 4: distils tiny into bag on smoke.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task smoke --teacher tiny --student bag "$@"
