"""The report: result files in, a Markdown page and a picture per task out.

It reads results and nothing else, so that a fresh clone makes the same page again.
"""
