#!/usr/bin/env bash
# Stage 4: distils minilm into bert_tiny on stsb.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task stsb --teacher minilm --student bert_tiny "$@"
