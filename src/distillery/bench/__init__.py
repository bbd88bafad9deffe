"""Measurements of speed and memory, in processes that take turns."""
