"""The engine: models on a device, and the requests that they answer in turn.

``engine.py`` is the engine itself, put together from parts: ``core.py`` is the base of all,
``recovery.py`` a lost device, ``adapters.py``, ``steering.py``, ``several_models.py``,
``open_box.py``, ``conversations.py`` the prefix cache, ``responding.py`` answers, ``resuming.py``
and ``keeping.py`` those that outlive their process. A request goes through
``resources.py`` (OpenAI's names), ``prompts.py`` (fields to token ids), ``request_queue.py`` (its
turn), ``answers.py`` (tokens to responses), ``generation.py`` (which tokens) and ``choice.py`` (one
text).
"""

from __future__ import annotations

from webllm_py.engine.engine import UNLOADED, Engine, load

__all__ = ["UNLOADED", "Engine", "load"]
