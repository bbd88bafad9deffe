#!/usr/bin/env bash
# Stage 2: fine-tunes minilm on stsb, then records its outputs for every row.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" teacher --task stsb --teacher minilm "$@"
