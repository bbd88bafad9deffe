#!/usr/bin/env bash
# Stage 3: trains bert_mini on the labels of yelp5 alone.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" student --task yelp5 --student bert_mini "$@"
