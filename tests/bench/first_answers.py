"""How fast first answers under schemas are, and answers with new texts, beside any text.

    python tests/bench/first_answers.py                            # the pocket model
    python tests/bench/first_answers.py --shape qwen2.5-0.5b       # random weights, 151,936 tokens
    python tests/bench/first_answers.py --schemas 12 --texts 4

Under each schema one answer before which nothing is known of it, then answers with other seeds, and
the first one again; the schemas are ``bench``'s, two of ``simulated_texts.json`` and some of
MaskBench's, if the shared data is beside the checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from mask_times import SCHEMAS, schemas  # noqa: E402

import webllm_py  # noqa: E402
from webllm_py.bench.constrained import SCHEMA  # noqa: E402
from webllm_py.bench.options import BenchOptions  # noqa: E402
from webllm_py.bench.requests import Requests  # noqa: E402
from webllm_py.errors import GrammarError  # noqa: E402
from webllm_py.grammar import schema_grammar  # noqa: E402
from webllm_py.random_models.gguf import write_random_model  # noqa: E402
from webllm_py.random_models.shapes import SHAPES  # noqa: E402
from webllm_py.runtime.generation.run import Run  # noqa: E402

FREE: Mapping[str, Any] = {"temperature": 1, "prompt_lookup": False}
CONTEXT = 128
FEWEST = 48
"""Tokens of an answer whose rate tells something."""


def chosen(count: int) -> Iterator[tuple[str, Any]]:
    """Names of schemas, and these."""
    kept = json.loads((Path(__file__).parent / "simulated_texts.json").read_text(encoding="utf-8"))
    yield "bench", SCHEMA
    yield "plain", kept["plain"]
    yield "object", kept["object"]
    for case in schemas(max(1, 400 // count)) if count and SCHEMAS.exists() else ():
        try:
            schema_grammar(case["schema"]).start()
        except GrammarError:
            continue
        yield case["id"], case["schema"]


class Reads:
    """Counts the read-backs of runs, and those that end in a stall."""

    def __init__(self) -> None:
        self.count = self.stalls = 0
        next_read = Run.next_read

        async def counted(run: Run) -> Any:
            read = await next_read(run)
            self.count += 1
            self.stalls += run.stalled
            return read

        Run.next_read = counted  # type: ignore[method-assign]


class Measured(Requests):
    """An engine, and what its runs wait for."""

    def __init__(self, engine: Any, options: BenchOptions, reads: Reads):
        super().__init__(engine, options)
        self.reads = reads

    async def answer(self, seed: int, schema: Any = None) -> tuple[float, int, int]:
        """Tokens a second, 0 where the answer is too short; how many read-backs, and stalls."""
        fields: dict[str, Any] = {**FREE, "seed": seed}
        if schema is not None:
            form = {"name": "measured", "schema": schema}
            fields |= {
                "response_format": {"type": "json_schema", "json_schema": form},
                "ignore_eos": False,
            }
        self.reads.count = self.reads.stalls = 0
        usage = await self.request(self.prompt(CONTEXT), self.options.tokens, fields)
        rate = float(usage.timings.decode_tokens_per_s)
        rate = rate if usage.completion_tokens >= FEWEST else 0.0
        return rate, self.reads.count, self.reads.stalls

    async def compared(self, name: str, schema: Any, texts: int) -> list[list[float]]:
        """Of any text's rate: that of the first answer, of new texts, of the first answer again."""
        self.engine.loaded.token_masks.forget_states()
        answers = [await self.answer(seed, schema) for seed in (1, *range(2, 2 + texts), 1, 1)]
        free = median([(await self.answer(seed))[0] for seed in (1, 2, 3)])
        shares = [rate / free for rate, _, _ in answers]
        told = [
            f"{share:.2f} ({reads}, {stalls})"
            for share, (_, reads, stalls) in zip(shares, answers, strict=True)
            if share
        ]
        print(f"  {name}: any text {free:,.0f} tokens/s; {' '.join(told)}", flush=True)
        return [shares[:1], shares[1 : 1 + texts], shares[1 + texts :]]


async def measure(engine: Any, arguments: argparse.Namespace) -> None:
    options = BenchOptions(tokens=arguments.tokens)
    measured = Measured(engine, options, Reads())
    await measured.answer(1)
    await measured.answer(1, {"type": "string"})  # compiles
    print(f"{arguments.shape or 'pocket model'}, {engine.info['adapter']}; of any text's rate")
    print("(read-backs, stalls): the first answer, new texts, the first text twice again")
    found: list[Sequence[list[float]]] = []
    for name, schema in chosen(arguments.schemas):
        found.append(await measured.compared(name, schema, arguments.texts))
    for i, what in enumerate(("first answers", "new texts", "the first text again")):
        shares = sorted(share for one in found for share in one[i] if share)
        if shares:
            ends = f"{shares[0]:.2f} to {shares[-1]:.2f}"
            print(f"{what}: {median(shares):.2f} ({ends}; {len(shares)})")


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    source = None
    if arguments.shape:
        source = folder / f"{arguments.shape}.gguf"
        write_random_model(source, arguments.shape, SHAPES[arguments.shape], "q4_0")
    async with await webllm_py.load(source, context_length=1024, tune=arguments.tune) as engine:
        await measure(engine, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, help="random weights; default: the pocket model")
    parser.add_argument("--schemas", type=int, default=8, help="about how many of MaskBench's")
    parser.add_argument("--texts", type=int, default=3, help="new texts of each schema")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--no-tune", dest="tune", action="store_false")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
