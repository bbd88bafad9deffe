"""One module per stage: what a command does, from files to files. No stage calls another."""
