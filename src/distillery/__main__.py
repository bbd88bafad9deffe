"""`python -m distillery` is the command line."""

import sys

from distillery.cli import main

sys.exit(main())
