#!/usr/bin/env bash
# Stage 5: attention, distilled on imdb, through all of it.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" compress --task imdb --teacher minilm --student attention "$@"
