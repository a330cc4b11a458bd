"""``python -m runtime_artifacts.pipeline``."""

import sys

from runtime_artifacts.pipeline.command import main

sys.exit(main())
