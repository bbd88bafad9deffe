#!/usr/bin/env bash
# Stage 3: the baseline majority on yelp5, a row that keeps the table honest.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" baseline --task yelp5 --baseline majority "$@"
