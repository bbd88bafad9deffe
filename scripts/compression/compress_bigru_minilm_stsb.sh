#!/usr/bin/env bash
# Stage 5: bigru, distilled on stsb, through all of it.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" compress --task stsb --teacher minilm --student bigru "$@"
