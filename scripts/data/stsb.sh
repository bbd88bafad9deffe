#!/usr/bin/env bash
# Stage 1: makes the splits of stsb.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" data --task stsb "$@"
