"""Hand-tuned twins of plain layers, CUDA graphs, and what the hardware decides."""
