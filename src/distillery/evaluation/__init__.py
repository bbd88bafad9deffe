"""Metrics, and what they are worth: arrays in, numbers out; no file is read."""
