"""The command ``webllm-py``: chat, complete, serve, info and bench in a terminal.

Only the command that runs imports the engine, so that ``--help`` is there at once.
"""

from webllm_py.cli.main import main

__all__ = ["main"]
