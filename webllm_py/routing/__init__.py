"""One of several engines and servers answers each request: which one, by rules."""

from webllm_py.routing.router import Router
from webllm_py.routing.targets import Local, Remote, Target

__all__ = ["Local", "Remote", "Router", "Target"]
