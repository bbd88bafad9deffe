#!/usr/bin/env bash
# Stage 5: transformer2, distilled from minilm on imdb, exported, quantized, pruned and distilled again.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" compress --task imdb --teacher minilm --student transformer2 "$@"
