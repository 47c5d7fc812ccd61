"""A device that is lost in the middle of an answer, in the browser."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

from served import ROOT

sys.path[:0] = [str(ROOT / "tests" / "engine"), str(ROOT / "tests" / "gpu")]

from made_models import SMALL, weights_of  # noqa: E402 - they lie beside the engine's tests
from model_files import write_gguf  # noqa: E402


def test_an_answer_goes_on_after_a_lost_device(python: Any, tmp_path: Path) -> None:
    """Drawn from a seed with penalties, which know of what was said before."""
    path = write_gguf(tmp_path / "small.gguf", SMALL, weights_of(SMALL))
    content = base64.b64encode(path.read_bytes()).decode()
    lost, found, expected = python.run_async(f"""
        import base64, js, logging, webllm_py
        from pyodide.ffi import to_js
        from webllm_py.runtime import executor

        executor.LONG_PROMPTS, usual = (), executor.LONG_PROMPTS  # whose kernels compile for long
        logging.getLogger("webllm_py").setLevel(logging.ERROR)
        file = js.File.new(to_js([base64.b64decode("{content}")]), "a.gguf")
        fields = {{"prompt": "Once", "max_tokens": 30, "seed": 5, "frequency_penalty": 0.5}}
        fields["ignore_eos"] = True

        async def told(engine, at=None):
            told = ""
            async for piece in await engine.completions.create(**fields, stream=True):
                told += piece.choices[0].text
                if at is not None and len(told) > at:
                    engine.loaded.owner.device._js.device.destroy()
                    at = None
            return told

        async with await webllm_py.load(file, tune=False) as engine:
            expected, before = await told(engine), engine.loaded.owner.device
            found = await told(engine, 7)
            lost = engine.loaded.owner.device is not before
        executor.LONG_PROMPTS = usual
        [lost, found, expected]
        """)
    assert lost and found == expected and len(found) > 15
