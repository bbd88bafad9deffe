#!/usr/bin/env bash
# Stage 5: writes distil_bilstm_minilm_imdb as ONNX, checked to give what PyTorch gives.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" export --task imdb --model distil_bilstm_minilm_imdb "$@"
