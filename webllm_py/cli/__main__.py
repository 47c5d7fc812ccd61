"""``python -m webllm_py.cli``."""

import sys

from webllm_py.cli.main import main

sys.exit(main())
