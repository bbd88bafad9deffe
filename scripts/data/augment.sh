#!/usr/bin/env bash
# After stage 1: makes changed copies of a task's texts, for a teacher to label.
#
# Usage   scripts/data/augment.sh TASK [OPTION...]
#
# Options: --help lists them.
set -euo pipefail
task=()
[[ ${1:--} = -* ]] || { task=(--task "$1") && shift; }
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" augment "${task[@]}" "$@"
