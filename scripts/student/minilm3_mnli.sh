#!/usr/bin/env bash
# Stage 3: trains minilm3 on the labels of mnli alone.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" student --task mnli --student minilm3 "$@"
