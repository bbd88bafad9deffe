#!/usr/bin/env bash
# Stage 4: distils minilm into minilm3 on mrpc.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task mrpc --teacher minilm --student minilm3 "$@"
