#!/usr/bin/env bash
# Runs the numbered stages of a task: 1 data, 2 teacher, 3 student, 4 distillation, 5 compression
# (of the students that the task's plan names), 6 report. What is up to date is skipped, what was
# killed goes on.
#
# Usage   scripts/run_all.sh TASK [--from N] [--to N] [--teachers A,B] [--students A,B]
#                            [--seeds N] [--force] [options of stage 1]
#
# --from, --to  first and last stage, 1 to 6; --students, --teachers  names, in place of the plan's
# --seeds       how many seeds (N: 0 to N-1), in place of the plan's; --force  all of it again
# options of stage 1, such as --source PATH: scripts/distillery data --help
#
#   scripts/run_all.sh demo                                 generated reviews, to see it all work
#   scripts/run_all.sh imdb --source aclImdb_v1.tar.gz      IMDB from the official archive
#   scripts/run_all.sh imdb --teachers bert                 with BERT base as the teacher
#   scripts/run_all.sh mine --data reviews.csv              your own data
set -euo pipefail
scripts=$(CDPATH='' cd -P -- "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)

usage() { sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}"; }
fail() {
  echo "run_all.sh: $1" >&2
  exit 2
}
number() {
  case $2 in [1-6]) ;; *) fail "$1 $2 is impossible: a stage from 1 to 6" ;; esac
}

case ${1:-} in
  -h | --help) usage && exit ;;
  '' | -*) fail "name the task first, such as demo or imdb (see --help)" ;;
esac
task=$1
shift
from=1 to=6
listed="" every=() experiment=() data=() students=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit ;;
    --from | --to | --teachers | --students | --seeds) [ $# -gt 1 ] || fail "$1 needs a value" ;;&
    --from) number "$1" "$2" && from=$2 && shift 2 ;;
    --to) number "$1" "$2" && to=$2 && shift 2 ;;
    --teachers) listed=$2 && shift 2 ;;
    --students) IFS=, read -ra students <<<"$2" && shift 2 ;;
    --seeds) experiment+=("$1" "$2") && shift 2 ;;
    --from=* | --to=* | --teachers=* | --students=* | --seeds=*) fail "write ${1/=/ }" ;;
    --force) every+=("$1") && shift ;;
    *) data+=("$1") && shift ;;
  esac
done
[ "$from" -le "$to" ] || fail "--from $from is behind --to $to"
[ "$from" -eq 1 ] || [ ${#data[@]} -eq 0 ] || fail "${data[0]} is an option of stage 1, which --from $from leaves out"

trap 'exit 143' TERM # once the stage has answered it: with the whole process group it gets it too

runs() { [ "$from" -le "$1" ] && [ "$1" -le "$to" ]; }
# Commands run in one process, after all are known: importing torch takes seconds each time. With
# DISTILLERY_LAUNCH each is launched by itself.
commands=()
distillery() {
  if [ -n "${DISTILLERY_LAUNCH:-}" ]; then
    echo "== distillery $*" >&2
    "$scripts/distillery" "$@"
  else
    commands+=(--then "$@")
  fi
}

plan=$("$scripts/distillery" plan --task "$task" ${listed:+--teachers "$listed"})
read -ra teachers <<<"$(sed -n 's/^teachers //p' <<<"$plan")"
pretrained=" $(sed -n 's/^pretrained //p' <<<"$plan") "
[ ${#students[@]} -gt 0 ] || read -ra students <<<"$(sed -n 's/^students //p' <<<"$plan")"
compressed=$(sed -n 's/^compressed //p' <<<"$plan")
known=$(sed -n 's/^known //p' <<<"$plan")
for student in "${students[@]}"; do
  [[ " $known " = *" $student "* ]] || fail "unknown student '$student': choose from $known"
done

if runs 1; then
  distillery data --task "$task" "${every[@]}" "${data[@]}"
  if grep -qx augmented <<<"$plan"; then
    distillery augment --task "$task" "${every[@]}"
  fi
fi
if runs 2; then
  for teacher in "${teachers[@]}"; do
    if [[ $pretrained = *" $teacher "* ]]; then
      distillery pretrain --task "$task" --teacher "$teacher" "${every[@]}"
    fi
    distillery teacher --task "$task" --teacher "$teacher" "${every[@]}" "${experiment[@]}"
  done
fi
if runs 3; then
  distillery baseline --task "$task" --baseline all "${every[@]}"
  for student in "${students[@]}"; do
    distillery student --task "$task" --student "$student" "${every[@]}" "${experiment[@]}"
  done
fi
if runs 4; then
  for teacher in "${teachers[@]}"; do
    for student in "${students[@]}"; do
      distillery distil --task "$task" --teacher "$teacher" --student "$student" \
        "${every[@]}" "${experiment[@]}"
    done
  done
fi
if runs 5; then
  for teacher in "${teachers[@]}"; do
    for student in "${students[@]}"; do
      [[ " $compressed " != *" $student "* ]] ||
        distillery compress --task "$task" --teacher "$teacher" --student "$student" "${every[@]}"
    done
  done
fi
if runs 6; then
  distillery report --task "$task"
fi
[ ${#commands[@]} -eq 0 ] || "$scripts/distillery" "${commands[@]:1}"
