#!/usr/bin/env bash
# Stage 3: the baseline of TF-IDF with logistic regression on IMDB.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" baseline --task imdb --baseline tfidf "$@"
