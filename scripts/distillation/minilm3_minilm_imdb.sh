#!/usr/bin/env bash
# Stage 4: distils minilm into minilm3 on imdb.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task imdb --teacher minilm --student minilm3 "$@"
