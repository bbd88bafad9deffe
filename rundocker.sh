#!/usr/bin/env bash
# Runs a command in the project's Docker image, which is built first where it is missing or older
# than its inputs. data/, results/ and benchmarks/ are the host's, files in them belong to the
# caller, and nothing else can be written but /tmp. Uses the GPUs where there are some. Without COMMAND: a shell.
#
# Usage   ./rundocker.sh [--network NETWORK] [COMMAND...]    default: no network; host is the host's
#
#   ./rundocker.sh scripts/run_all.sh demo
#   ./rundocker.sh scripts/run_all.sh imdb --source data/aclImdb_v1.tar.gz
#   BASE_IMAGE=debian:12 ./rundocker.sh scripts/run_all.sh smoke    without CUDA's base image
#
# Environment
#   BASE_IMAGE                            Debian 12+ or Ubuntu 24.04+ [docker/Dockerfile's CUDA]
#   DISTILLERY_DATA, DISTILLERY_RESULTS   the folders mounted [data, results]
#   DISTILLERY_IMAGE                      the image's name [distillery]
#   PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, HTTP_PROXY, HTTPS_PROXY, NO_PROXY   for the build
set -euo pipefail
here=$(CDPATH='' cd -P -- "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)

say() { echo "rundocker.sh: $1" >&2; }
fail() { say "$1" && exit 2; }
usage() { sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}"; }

network=none
case ${1:-} in
  -h | --help) usage && exit ;;
  --network) [ $# -gt 1 ] || fail "--network needs a value" && network=$2 && shift 2 ;;
  --network=*) fail "write ${1/=/ }" ;;
  -*) fail "unknown option '$1' (see --help)" ;;
esac
command -v docker >/dev/null || fail "docker is missing: apt-get install docker.io"
docker version >/dev/null 2>&1 || fail "no Docker daemon answers: start it, or join the group docker"

options=()
mount() { # a folder made here, so that it is the caller's and not the daemon's
  local folder
  folder=$(mkdir -p -- "$2" 2>/dev/null && CDPATH='' cd -P -- "$2" 2>/dev/null && pwd) ||
    fail "$1: $2 is no folder that can be made or entered"
  # Docker reads the value as CSV: in quotes a comma in the path is no end of it.
  options+=(--mount "type=bind,\"source=${folder//\"/\"\"}\",target=/distillery/$1")
}
mount data "${DISTILLERY_DATA:-$here/data}"
mount results "${DISTILLERY_RESULTS:-$here/results}"
mount benchmarks "$here/benchmarks"
# Figures that are to lie elsewhere take their benchmarks along.
[ -z "${DISTILLERY_RESULTS:-}" ] || options+=(--env DISTILLERY_RESULTS=/distillery/results)

# The image, with a checksum of all that goes into it as a label.
image=${DISTILLERY_IMAGE:-distillery}
inputs() {
  cd "$here"
  find .dockerignore docker/Dockerfile requirements.txt LICENSE download_requirements.sh scripts src \
    -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  echo "${BASE_IMAGE:-}"
}
checksum=$(inputs | sha256sum | cut -d ' ' -f 1)
label=distillery.inputs
built=$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$image" 2>/dev/null) || built=
if [ "$built" != "$checksum" ]; then
  say "${built:+$image is older than its inputs: }building $image"
  arguments=()
  for name in BASE_IMAGE PIP_INDEX_URL PIP_EXTRA_INDEX_URL {HTTP,HTTPS,NO}_PROXY {http,https,no}_proxy; do
    [ -z "${!name:-}" ] || arguments+=(--build-arg "$name")
  done
  # The host's network: a proxy or a package index on this host is reached too.
  docker build --network host "${arguments[@]}" --label "$label=$checksum" \
    --file "$here/docker/Dockerfile" --tag "$image" "$here" >&2
fi

options+=(--rm --interactive --network "$network" --user "$(id -u):$(id -g)")
[ ! -t 0 ] || [ ! -t 1 ] || options+=(--tty)
# /tmp may hold programs: torch.compile builds and loads its kernels there.
options+=(--read-only --tmpfs /tmp:exec --cap-drop ALL --security-opt no-new-privileges)
# Processes and data loaders pass tensors through shared memory: as much as on the host, half of all.
options+=(--shm-size "$(awk '/^MemTotal/ { print int($2 / 2) "k" }' /proc/meminfo)")

gpus=$(nvidia-smi -L 2>/dev/null) || gpus=
if [[ $'\n'$gpus != *$'\nGPU '* ]]; then
  say "no GPU here: using the CPU"
elif [[ $(docker info --format '{{json .Runtimes}}') = *nvidia* ]] || command -v nvidia-container-runtime-hook >/dev/null; then
  options+=(--gpus all)
else
  say "Docker cannot reach the GPU: install nvidia-container-toolkit, restart Docker; using the CPU"
fi

if [ "$network" = none ]; then
  options+=(--env HF_HUB_OFFLINE=1)
else # what a download needs
  for name in HF_ENDPOINT HF_TOKEN PIP_INDEX_URL PIP_EXTRA_INDEX_URL {HTTP,HTTPS,NO}_PROXY {http,https,no}_proxy; do
    options+=(--env "$name")
  done
fi
if commit=$(git -C "$here" rev-parse HEAD 2>/dev/null); then # the image holds no repository
  [ -z "$(git -C "$here" status --porcelain -- src scripts 'benchmarks/*.py' requirements.txt)" ] || commit+=-dirty
  options+=(--env "DISTILLERY_COMMIT=$commit")
fi
options+=(--env DISTILLERY_LAUNCH --env OMP_NUM_THREADS --env CUDA_VISIBLE_DEVICES)

if [ $# -eq 0 ]; then
  say "a shell; the stages: scripts/run_all.sh TASK [--from N] [--to N], such as scripts/run_all.sh demo"
  say "  1 scripts/data  2 scripts/teacher  3 scripts/student  4 scripts/distillation  5 scripts/compression  6 scripts/distillery report"
fi
exec docker run "${options[@]}" "$image" "$@"
