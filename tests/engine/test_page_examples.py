"""What the chat page offers to ask is answered by the pocket model, and briefly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import webllm_py
from webllm_py.gpu import Device

APP = Path(__file__).parents[2] / "demo" / "app"


async def test_every_example_is_answered_briefly(device: Device) -> None:
    found = re.search(r"EXAMPLES = \[(.*?),\n\];", (APP / "welcome.mjs").read_text("utf-8"), re.S)
    longest = re.search(r"maxTokens: (\d+)", (APP / "settings.mjs").read_text("utf-8"))
    assert found and longest
    examples = json.loads(f"[{found[1]}]")
    assert len(examples) == 6
    async with await webllm_py.load(device=device, tune=False) as engine:
        for question in examples:
            message = {"role": "user", "content": question}
            fields = {"temperature": 0, "max_tokens": int(longest[1])}
            reply = await engine.chat.completions.create(messages=[message], **fields)
            (choice,) = reply.choices
            assert choice.message.content and choice.finish_reason == "stop", question
