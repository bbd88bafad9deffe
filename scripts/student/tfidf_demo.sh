#!/usr/bin/env bash
# Stage 3: the baseline of TF-IDF with logistic regression on demo.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" baseline --task demo --baseline tfidf "$@"
