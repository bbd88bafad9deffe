#!/usr/bin/env bash
# What gained what: distils a student in several ways on a short schedule, each with one thing
# changed, and reports them as a table. Stages 1 and 2 must have run; what is up to date is skipped.
#
# Usage   scripts/ablation.sh TASK [--student S] [--teacher T] [--only A,B] [options of distil]
#
# Of src/distillery/stages/scripts.py, base: an epoch over train and unlabeled, KL at a temperature
# of 2; train: train alone; train_longer: that for three epochs; random: embeddings from random
# numbers; hard: the teacher's labels in place of its logits; mse: their squared error; last: the
# last state of each direction in place of pooling; short: 128 word pieces; augmented: changed copies
# of train as well
#
#   scripts/ablation.sh imdb                          all variants of bilstm, minilm its teacher
#   scripts/ablation.sh imdb --only base,mse,random    some of them
#   scripts/ablation.sh imdb --seeds 3                each over three seeds
set -euo pipefail
scripts=$(CDPATH='' cd -P -- "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)

usage() { sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}"; }
fail() {
  echo "ablation.sh: $1" >&2
  exit 2
}

case ${1:-} in
  -h | --help) usage && exit ;;
  '' | -*) fail "name the task first, such as imdb (see --help)" ;;
esac
task=$1 student=bilstm teacher=minilm
shift
only=() options=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit ;;
    --student | --teacher | --only) [ $# -gt 1 ] || fail "$1 needs a value" ;;&
    --student) student=$2 && shift 2 ;;
    --teacher) teacher=$2 && shift 2 ;;
    --only) only=(--only "$2") && shift 2 ;;
    *) options+=("$1") && shift ;;
  esac
done

distillery() {
  echo "== distillery $*" >&2
  "$scripts/distillery" "$@"
}

variants=$("$scripts/distillery" ablation --student "$student" "${only[@]}")
while read -r variant recipe <&3; do
  if [ "$variant" = augmented ]; then
    distillery augment --task "$task"
    distillery record --task "$task" --teacher "$teacher"
  fi
  # shellcheck disable=SC2086 # several options, without blanks of their own
  distillery distil --task "$task" --teacher "$teacher" --student "$student" \
    $recipe --variant "ablation_$variant" "${options[@]}"
done 3<<<"$variants"
distillery report --task "$task"
