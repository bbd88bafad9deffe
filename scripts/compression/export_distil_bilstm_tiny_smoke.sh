#!/usr/bin/env bash
# Stage 5: writes distil_bilstm_tiny_smoke as ONNX, checked to give what PyTorch gives.
# Options: --help lists them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" export --task smoke --model distil_bilstm_tiny_smoke "$@"
