"""Judge a pocket model by the shipped engine: ``python -m demo.pocket.evaluate [MODEL.gguf]``.

Asks the 200 held-out prompts through ``webllm_py``'s chat completions, greedily, and counts the
answers that are exactly right. Ends with status 1 if fewer than 95 % are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

import webllm_py
from demo.pocket.make_heldout import HELD_OUT_FILE

TARGET = 0.95
MAX_TOKENS = 64


async def evaluate(source: str | None, *, show: bool) -> float:
    """The share of right answers; prints it by family, and the wrong ones if ``show``."""
    prompts = [json.loads(line) for line in HELD_OUT_FILE.read_text().splitlines()]
    engine = await webllm_py.load(source)
    asked, right = Counter[str](), Counter[str]()
    start = time.monotonic()
    try:
        for prompt in prompts:
            reply = await engine.chat.completions.create(
                messages=[{"role": "user", "content": prompt["prompt"]}],
                temperature=0,
                max_tokens=MAX_TOKENS,
            )
            answer = reply.choices[0].message.content
            asked[prompt["family"]] += 1
            right[prompt["family"]] += answer == prompt["answer"]
            if show and answer != prompt["answer"]:
                print(f"{prompt['prompt']!r}: wanted {prompt['answer']!r}, got {answer!r}")
    finally:
        await engine.unload()
    for family, count in asked.items():
        print(f"{family:12} {right[family]:4} of {count}")
    total, correct = asked.total(), right.total()
    seconds = time.monotonic() - start
    print(f"{'all':12} {correct:4} of {total} = {correct / total:.1%}, {seconds:.0f} s")
    return correct / total


def main() -> None:
    """Read the options, judge, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="a .gguf file; without it the one that ships")
    parser.add_argument("--quiet", action="store_true", help="do not show the wrong answers")
    options = parser.parse_args()
    share = asyncio.run(evaluate(options.model, show=not options.quiet))
    sys.exit(0 if share >= TARGET else 1)


if __name__ == "__main__":
    main()
