"""The engine: models on a device, and the requests that they answer in turn.

``engine.py`` is the engine itself, each part of which is a module: ``request_queue.py``,
``recovery.py`` a lost device, ``several_models.py``, ``adapters.py``, ``open_box.py``,
``steering.py``, ``conversations.py`` the prefix cache, ``resuming.py`` and ``keeping.py`` answers
that outlive their process. A request goes through ``resources.py`` (OpenAI's names),
``prompts.py`` (fields to token ids), ``responding.py`` (its turn), ``answers.py`` (tokens to
responses), ``generation.py`` (which tokens) and ``choice.py`` (one text).
"""

from __future__ import annotations

from webllm_py.engine.engine import UNLOADED, Engine, load

__all__ = ["UNLOADED", "Engine", "load"]
