#!/usr/bin/env bash
# Stage 5: takes units and word pieces out of distil_bilstm_minilm_demo, then distils it again.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" prune --task demo --model distil_bilstm_minilm_demo "$@"
