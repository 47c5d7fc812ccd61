"""Write ``heldout.jsonl``: 200 prompts of the held-out side, never in the training stream.

Run as ``python -m demo.pocket.make_heldout``; the seed is fixed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from demo.pocket.corpus import HELD_OUT_FAMILIES, Draw, normalise, visible

__all__ = ["HELD_OUT_FILE", "prompts"]

HELD_OUT_FILE = Path(__file__).with_name("heldout.jsonl")
_COUNTS = {"arithmetic": 80, "facts": 70, "json": 50}
_SEED = 200


def prompts() -> Iterator[dict[str, str]]:
    """Family, prompt and the exact answer of each."""
    draw = Draw(_SEED, held_out=True)
    for family, wanted in _COUNTS.items():
        seen: set[str] = set()
        while len(seen) < wanted:
            turn = HELD_OUT_FAMILIES[family](draw)
            if normalise(turn.user) not in seen:
                seen.add(normalise(turn.user))
                yield {"family": family, "prompt": turn.user, "answer": visible(turn.reply)}


def main() -> None:
    """Write the file."""
    lines = [json.dumps(prompt, ensure_ascii=False) for prompt in prompts()]
    HELD_OUT_FILE.write_text("\n".join(lines) + "\n")
    print(f"{HELD_OUT_FILE.name}: {len(lines)} prompts")


if __name__ == "__main__":
    main()
