#!/usr/bin/env bash
# Stage 5: bilstm, distilled from tiny on smoke, exported, quantized, pruned and distilled again.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" compress --task smoke --teacher tiny --student bilstm "$@"
