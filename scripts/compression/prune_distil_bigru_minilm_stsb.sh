#!/usr/bin/env bash
# Stage 5: takes units and word pieces out of distil_bigru_minilm_stsb, then distils it again.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" prune --task stsb --model distil_bigru_minilm_stsb "$@"
