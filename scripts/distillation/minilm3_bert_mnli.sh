#!/usr/bin/env bash
# Stage 4: distils bert into minilm3 on mnli.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task mnli --teacher bert --student minilm3 "$@"
