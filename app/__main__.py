"""`python -m app` is `concord`."""

import sys

from app.cli import main

sys.exit(main())
