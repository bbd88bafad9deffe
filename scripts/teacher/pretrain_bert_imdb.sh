#!/usr/bin/env bash
# Before stage 2: trains bert further on the texts of imdb.
# Made by `make scripts`. Options: --help lists them, every value of the recipe among them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" pretrain --task imdb --teacher bert "$@"
