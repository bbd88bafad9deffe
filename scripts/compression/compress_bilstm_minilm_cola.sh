#!/usr/bin/env bash
# Stage 5: bilstm, distilled on cola, through all of it.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" compress --task cola --teacher minilm --student bilstm "$@"
