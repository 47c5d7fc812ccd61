"""``python -m webllm_py``."""

import sys

from webllm_py.cli.main import main

sys.exit(main())
