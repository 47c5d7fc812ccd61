"""For notebooks: a bar while a model loads, answers as Markdown while they are written, ``%%llm``.

::

    %load_ext webllm_py
    from webllm_py.notebook import LoadingBar, show

    engine = await webllm_py.load(on_progress=LoadingBar())
    await show(await engine.chat.completions.create(messages=[...], stream=True))

Needs IPython, which a notebook's kernel has, when it is used and not when it is imported.
"""

from __future__ import annotations

from webllm_py.notebook.answer import show
from webllm_py.notebook.bar import LoadingBar
from webllm_py.notebook.magic import load_ipython_extension, unload_ipython_extension

__all__ = ["LoadingBar", "load_ipython_extension", "show", "unload_ipython_extension"]
