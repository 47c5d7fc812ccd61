"""``python -m webllm_py``: the command."""

import sys

from webllm_py.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
