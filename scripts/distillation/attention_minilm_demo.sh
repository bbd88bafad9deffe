#!/usr/bin/env bash
# Stage 4: distils minilm into attention on demo.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task demo --teacher minilm --student attention "$@"
