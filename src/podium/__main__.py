"""`python -m podium`: how the supervisor starts every process."""

import sys

from podium.main import main

sys.exit(main())
