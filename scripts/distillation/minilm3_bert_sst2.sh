#!/usr/bin/env bash
# Stage 4: distils bert into minilm3 on sst2.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task sst2 --teacher bert --student minilm3 "$@"
