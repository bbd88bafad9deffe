#!/usr/bin/env bash
# Stage 3: the baseline of the majority class on demo.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" baseline --task demo --baseline majority "$@"
