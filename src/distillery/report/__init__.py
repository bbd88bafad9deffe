"""The report: result files in, a Markdown page and a picture per task out. Reads nothing else."""
