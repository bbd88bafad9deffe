#!/usr/bin/env bash
# Stage 5: writes distil_transformer2_minilm_imdb as ONNX with weights of 8 bits.
# Options: --help lists them, every value of the recipe among them.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../distillery" quantize --task imdb --model distil_transformer2_minilm_imdb "$@"
