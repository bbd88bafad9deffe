"""Texts as word pieces, and batches of texts of like length."""
