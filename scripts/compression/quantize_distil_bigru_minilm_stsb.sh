#!/usr/bin/env bash
# Stage 5: exports distil_bigru_minilm_stsb to ONNX with weights of 8 bits.
# Made by `make scripts`. Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" quantize --task stsb --model distil_bigru_minilm_stsb "$@"
