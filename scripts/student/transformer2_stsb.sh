#!/usr/bin/env bash
# Stage 3: trains transformer2 on the labels of stsb alone.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" student --task stsb --student transformer2 "$@"
