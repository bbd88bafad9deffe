#!/usr/bin/env bash
# Stage 5: exports minilm_stsb to ONNX, checked against PyTorch.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" export --task stsb --model minilm_stsb "$@"
