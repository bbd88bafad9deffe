#!/usr/bin/env bash
# Stage 3: trains tinybert4 on the labels of cola alone.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" student --task cola --student tinybert4 "$@"
