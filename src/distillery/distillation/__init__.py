"""Losses, and the teacher's recorded outputs."""
