"""The only training loop, its checkpoints, inference, and choices measured on this machine."""
