"""One experiment from recipe to result, and searches over recipes."""
