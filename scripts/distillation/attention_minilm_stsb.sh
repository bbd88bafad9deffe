#!/usr/bin/env bash
# Stage 4: distils minilm into attention on stsb.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task stsb --teacher minilm --student attention "$@"
