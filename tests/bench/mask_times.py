"""How long grammars of real schemas take with real vocabularies, in CPython or in Pyodide on node.

    python tests/bench/mask_times.py                       # here
    python tests/bench/mask_times.py --pyodide             # in node, as in a browser
    python tests/bench/mask_times.py --vocabulary qwen2 --every 8

Each valid instance of each schema of MaskBench is written token by token: the mask of what may come
next, then the token. Needs the shared data beside the checkout; ``--pyodide`` needs what
``build.py demo`` leaves in ``.cache``, and node.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
SCHEMAS = DATA / "json-schema" / "maskbench-400.jsonl"
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from on_node import run_on_node  # noqa: E402

from webllm_py.errors import GrammarError  # noqa: E402
from webllm_py.grammar import Matcher, TokenMasks, schema_grammar  # noqa: E402
from webllm_py.tokenizer import Tokenizer, from_files  # noqa: E402

VOCABULARIES = {
    "qwen2": ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"),
    "llama3": ("tokenizer.model",),
}


# The processor's time: what else runs on this machine is not counted.
clock: Callable[[], float] = time.process_time
if sys.platform == "emscripten":
    import js

    clock = js.cpuSeconds  # of node and its threads


def read(name: str) -> bytes:
    return (DATA / "tokenizers" / name).read_bytes()


def tokenizer_named(name: str) -> Tokenizer:
    return from_files({file: read(f"{name}/{file}") for file in VOCABULARIES[name]})


def token_texts(tokenizer: Tokenizer) -> list[bytes]:
    """As the engine gives them to ``TokenMasks``."""
    hidden = tokenizer.special_ids | tokenizer.end_ids
    size = tokenizer.vocab_size
    return [b"" if id in hidden else tokenizer.token_bytes(id) for id in range(size)]


def schemas(every: int = 1) -> Iterator[dict[str, Any]]:
    """Cases of MaskBench: ``schema`` and ``tests``, each of ``data`` and ``valid``."""
    for number, line in enumerate(SCHEMAS.read_text(encoding="utf-8").splitlines()):
        if number % every == 0:
            yield json.loads(line)


def tables(masks: TokenMasks) -> list[float]:
    """Milliseconds of each of the pieces in which the tables of a vocabulary are made."""
    found = []
    pieces = masks.preparing()
    while True:
        begun = clock()
        done = next(pieces, "done") == "done"
        found.append(1e3 * (clock() - begun))
        if done:
            return found


def measure(name: str, every: int, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Times of one vocabulary: of compiling a schema, of the tables, and of every mask."""
    tokenizer = tokenizer_named(name)
    masks = TokenMasks(token_texts(tokenizer), tokenizer.end_ids)
    pieces = tables(masks)
    gc.freeze()
    compiled: list[float] = []
    times: list[float] = []
    slowest: list[tuple[float, str, str]] = []
    refused = 0
    for case in schemas(every):
        gc.collect()  # what the case before left, not while this one is timed
        begun = clock()
        try:
            grammar = schema_grammar(case["schema"])
            grammar.start()
        except GrammarError:
            refused += 1
            continue
        compiled.append(1e3 * (clock() - begun))
        for test in case["tests"]:
            if test["valid"]:
                text = json.dumps(test["data"], ensure_ascii=False)
                matcher = Matcher(grammar, masks)
                for token in tokenizer.encode(text, parse_special=False):
                    begun = clock()
                    matcher.mask()
                    taken = matcher.accept(token)
                    times.append(1e6 * (clock() - begun))
                    if not taken:
                        break  # a number written with an exponent, say
                    slowest.append((times[-1], case["id"], repr(tokenizer.token_bytes(token))))
        if len(slowest) > 200:
            slowest = sorted(slowest, reverse=True)[:20]
    say(f"{name}: {len(compiled)} schemas, {refused} refused, {len(times)} masks")
    return {
        "vocabulary": name,
        "tables ms": {"whole": sum(pieces), "longest piece": max(pieces), "pieces": len(pieces)},
        "compile ms": spread(compiled),
        "mask us": spread(times),
        "slowest": sorted(slowest, reverse=True)[:20],
    }


def spread(times: list[float]) -> dict[str, float]:
    """Of some times: quantiles, the mean, and the largest."""
    ordered = sorted(times)
    at = {f"{100 * part:g} %": ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.9, 0.99)}
    return {**at, "mean": sum(ordered) / len(ordered), "most": ordered[-1]}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pyodide", action="store_true", help="run in Pyodide, on node")
    parser.add_argument("--vocabulary", choices=VOCABULARIES, help="default: each of them")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th schema only")
    parser.add_argument("--slowest", action="store_true", help="say which masks took longest")
    words = sys.argv[1:] if words is None else words
    arguments = parser.parse_args(words)
    if arguments.pyodide:
        rest = [word for word in words if word != "--pyodide"]
        return run_on_node("mask_times", rest, {"/shared": DATA.parent})
    for name in [arguments.vocabulary] if arguments.vocabulary else VOCABULARIES:
        found = measure(name, arguments.every)
        slowest = found.pop("slowest")
        for what, values in found.items():
            print(what, values if isinstance(values, str) else rounded(values))
        for time_us, case, token in slowest if arguments.slowest else ():
            print(f"{time_us:10.0f} us  {case}  before {token}")
    return 0


def rounded(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


if __name__ == "__main__":
    sys.exit(main())
