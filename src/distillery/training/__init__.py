"""The only training loop, its checkpoints, inference, and what the hardware decides."""
