"""From outside files to checked splits: sources, text keys, splits and their manifest."""
