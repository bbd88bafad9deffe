#!/usr/bin/env bash
# Stage 3: the baseline of the majority class on smoke.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" baseline --task smoke --baseline majority "$@"
