#!/usr/bin/env bash
# Stage 4: distils bert into minilm3 on cola.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task cola --teacher bert --student minilm3 "$@"
