"""Where the host's time of a decoded token goes: Python by function, JavaScript by call.

Runs in the bench page's worker where ``--host-profile`` asks for it, after all measurements: the
calls that it times are slower for that.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Awaitable, Callable
from typing import Any

from pyodide.code import run_js

CALLS = ("replay", "replayInParts", "submit", "write", "copy", "clear")
FUNCTIONS = 15  # of Python, those that take most

# Sums up the milliseconds in methods of an object, but for those that they call of each other.
WATCH = """(object, names) => {
  const spent = {};
  let inside = false;
  for (const name of names) {
    const method = object[name];
    spent[name] = 0;
    object[name] = function (...given) {
      if (inside) return method.apply(this, given);
      inside = true;
      const since = performance.now();
      try {
        return method.apply(this, given);
      } finally {
        spent[name] += performance.now() - since;
        inside = false;
      }
    };
  }
  return { spent: (name) => spent[name], stop: () => names.forEach((name) => delete object[name]) };
}"""


async def host_profile(engine: Any, context: int, tokens: int) -> tuple[dict[str, float], str]:
    """Microseconds a token of a greedy answer through the streaming API: parts, and a table."""
    device = engine.loaded.executor.device
    prompt = [(3 + i * 7919) % engine.loaded.executor.model.config.vocab_size
              for i in range(context)]  # fmt: skip

    async def answer(count: int) -> None:
        stream = await engine.completions.create(
            prompt=prompt, max_tokens=count, ignore_eos=True, stream=True, temperature=0,
            prompt_lookup=False,
        )  # fmt: skip
        async with stream:
            async for _ in stream:
                pass

    await answer(tokens)
    parts = await spent(device, answer, tokens)
    profiler = cProfile.Profile()
    profiler.enable()
    await answer(tokens)
    profiler.disable()
    lines = [f"host work of a token at {context:,}, greedy, microseconds (while watched)"]
    lines += [f"  {value:8.1f}  {name}" for name, value in parts.items()]
    lines.append("Python by function (of the whole answer; cProfile slows short ones most)")
    found = pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
    rows = sorted(found, key=lambda row: -row[1][2])[:FUNCTIONS]
    for (file, line, name), (_, calls, own, total, _) in rows:
        where = f"{file.rpartition('webllm_py/')[2]}:{line} {name}" if line else name
        lines.append(
            f"  {own / tokens * 1e6:8.1f}  {where}, {calls / tokens:.2f} calls, "
            f"with what it calls {total / tokens * 1e6:.1f}"
        )
    return parts, "\n".join(lines)


async def spent(
    device: Any, answer: Callable[[int], Awaitable[None]], tokens: int
) -> dict[str, float]:
    """Microseconds a token after the first: of all, of each JavaScript call, and of the rest."""
    from pyodide.ffi import to_js

    async with device.host_clock() as clock:
        watch = run_js(WATCH)(device._js, to_js(CALLS))
        try:
            readings = []
            for count in (1, 1, tokens):  # the first of all does what is done once
                before = [clock(), *map(watch.spent, CALLS)]
                await answer(count)
                after = [clock(), *map(watch.spent, CALLS)]
                readings.append([b - a for a, b in zip(before, after, strict=True)])
        finally:
            watch.stop()
    _, first, all_of_it = readings
    each = [(b - a) / (tokens - 1) for a, b in zip(first, all_of_it, strict=True)]
    whole, *calls = each
    parts = {f"JavaScript, {name}()": 1e3 * ms for name, ms in zip(CALLS, calls, strict=True)}
    rest = 1e6 * whole - sum(parts.values())
    return {"in all": 1e6 * whole, **parts, "Python, what it is told, and calls between": rest}
