"""What the host's own work makes of answers under schemas, beside a GPU that is simulated.

    python tests/bench/simulated_gpu.py                          # each set of texts, run by run
    python tests/bench/simulated_gpu.py free1 list1 list1 free1
    python tests/bench/simulated_gpu.py list1/logprobs list1/min_tokens list1+list2+list3
    python tests/bench/simulated_gpu.py --pyodide step=1e-3      # in node, as in a browser

The engine is the real one, with the pocket model; time is the processor's of its Python, what each
call of the device would take, and waiting, which is skipped. So other work on a machine hardly
counts. The GPU draws a text that the pocket model drew once (simulated_texts.json), follows the
automaton as sample_follow.wgsl does, and refuses a token that its mask does not have. ``--pyodide``
needs what ``build.py demo`` leaves in ``.cache``, and node.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "unit" / "gpu")]
sys.path.append("/unpacked")  # on node jinja2 is there
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from fake_device import FakeDevice  # noqa: E402
from followed import Followed, MissingError, StoppedError  # noqa: E402
from on_node import CACHE, run_on_node  # noqa: E402

import webllm_py  # noqa: E402
from webllm_py.bench.constrained import FREE, UNDER  # noqa: E402
from webllm_py.gpu.device import Buffer, Plan  # noqa: E402
from webllm_py.grammar.automaton import Sizes  # noqa: E402
from webllm_py.models.step import ROWS_AT, SLOTS  # noqa: E402
from webllm_py.runtime.sampling.automaton import A_PLACE, PLACES, STALLED  # noqa: E402
from webllm_py.runtime.sampling.sampler import RING  # noqa: E402

TEXTS = Path(__file__).parent / "simulated_texts.json"
SECONDS: Mapping[str, float] = {
    "step": 200e-6,
    "stalled": 60e-6,  # a step that has no rows
    "pass": 300e-6,  # a chunk of tokens, or what else runs
    "draw": 30e-6,
    "reading": 250e-6,  # from the GPU's end to the host
    "begin": 60e-6,  # from the host to an idle GPU
    "submit": 25e-6,  # of the host, as are these
    "read": 30e-6,
    "write": 4e-6,
}
ONLY = 1 << 31
MISSING = 28
TOKENS = 128
OF_A_DRAW = "sample_", "logprob_"
"""How the kernels are called of a plan that only draws."""
ASKED: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "logprobs": {"logprobs": 5},
    "min_tokens": {"min_tokens": TOKENS},
}
cpu: Callable[[], float]
if sys.platform == "emscripten":
    import js

    cpu = js.cpuSeconds
else:
    cpu = time.thread_time


class Clock:
    """The host's time: its processor's, without the simulation's own, and what is added."""

    def __init__(self) -> None:
        self.added = self.own = self.waited = 0.0

    def now(self) -> float:
        return cpu() - self.own + self.added

    @contextmanager
    def stopped(self) -> Iterator[None]:
        begun = cpu()
        yield
        self.own += cpu() - begun


class Loop(asyncio.BaseEventLoop):
    """An event loop that skips what it would wait for."""

    def __init__(self, clock: Clock):
        super().__init__()
        self._clock = clock
        self._selector = self  # whose ``select`` is called

    def time(self) -> float:
        return self._clock.now()

    def select(self, timeout: float | None) -> Sequence[Any]:
        self._clock.added += timeout or 0.0
        self._clock.waited += timeout or 0.0
        return ()

    def _process_events(self, events: Sequence[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


class SimulatedGpu(FakeDevice):
    """Draws the tokens of ``texts``, of each slot one.

    Attributes:
        checked: whether their masks must have them.
        counts: draws, stalls, steps behind these, and read-backs.
    """

    def __init__(self, clock: Clock, seconds: Mapping[str, float]):
        super().__init__()
        self.clock, self.seconds = clock, seconds
        self.texts: Sequence[Sequence[int]] = ()
        self.checked = False
        self.counts = Counter[str]()
        self._free_at = 0.0
        self._kernels: dict[Plan, dict[str, Any]] = {}
        self._masks: dict[tuple[int, bool], bytearray] = {}

    def write(self, buffer: Buffer, offset: int, data: Any) -> None:
        with self.clock.stopped():
            super().write(buffer, offset, memoryview(data).cast("B"))
        self.clock.added += self.seconds["write"]

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        loop = asyncio.get_running_loop()
        reading = loop.create_future()
        with self.clock.stopped():
            data = bytes(self.live[buffer][offset : offset + size])
        self.clock.added += self.seconds["read"]
        self.counts["reads"] += 1
        at = max(self._free_at, self.clock.now()) + self.seconds["reading"]
        loop.call_at(at, lambda: reading.done() or reading.set_result(data))
        return reading

    def replay(self, plan: Plan, times: int = 1) -> None:
        with self.clock.stopped():
            if plan not in self._kernels:
                self._kernels[plan] = {d.kernel.name: d for d in plan.dispatches}
            worked = sum(self._run(plan.label, self._kernels[plan]) for _ in range(times))
        self.clock.added += self.seconds["submit"] * times
        begun = max(self._free_at, self.clock.now() + self.seconds["begin"])
        self._free_at = begun + worked

    def _words(self, buffer: Buffer) -> memoryview:
        return memoryview(self.live[buffer]).cast("I")

    def _run(self, label: str, kernels: Mapping[str, Any]) -> float:
        """Run a plan; how long the GPU takes."""
        follow, seconds = kernels.get("sample_follow"), self.seconds
        if "sample_select" not in kernels:
            if follow:
                self._follow(follow, stand=True)
                return seconds["draw"]
            return seconds["step"] - seconds["draw"] if "logits" in label else seconds["pass"]
        select = kernels["sample_select"]
        step = self._words(select.buffers["step"])
        if not step[0]:
            self.counts["in vain"] += 1
            return seconds["stalled"]
        self.counts["draws"] += 1
        ring, slots = self._words(select.buffers["ring"]), self.overrides(select)["SLOTS"]
        masks = self._words(kernels["sample_prepare"].buffers["masks"])
        for row in range(ROWS_AT, ROWS_AT + 4 * step[0], 4):
            slot, drawn = step[row + 2], step[row + 3]
            token = self._drawn(masks, slot, drawn)
            ring[drawn % RING * slots + slot] = step[row] = token
            step[row + 1] += 1
            step[row + 3] += 1
        if follow:
            self._follow(follow)
        return seconds["draw" if all(map(is_of_a_draw, kernels)) else "step"]

    @staticmethod
    def overrides(dispatch: Any) -> dict[str, int]:
        return {name: int(value) for name, value in dispatch.kernel.overrides}

    def _drawn(self, masks: memoryview, slot: int, drawn: int) -> int:
        """The next token of a slot's text, which its mask must have."""
        text = self.texts[slot]
        if drawn >= len(text):
            return 0
        token, rule = text[drawn], masks[slot]
        allowed = rule == ONLY | token
        if not rule & ONLY:
            allowed = bool(masks[rule + token // 32] >> token % 32 & 1)
        assert allowed or not self.checked, f"token {drawn} of {slot}, {token}, is not in its mask"
        return token

    def _follow(self, follow: Any, *, stand: bool = False) -> None:
        """See kernels/sample_follow.wgsl."""
        step = self._words(follow.buffers["step"])
        rows = range(ROWS_AT, ROWS_AT + 4 * step[0], 4)
        stalled = [not self._follow_row(follow, step[row : row + 4], stand) for row in rows]
        if any(stalled):
            self.counts["stalls"] += 1
            step[0] = 0

    def _follow_row(self, follow: Any, row: memoryview, stand: bool) -> bool:
        """Whether it is known where the row's token leads."""
        sizes = self.overrides(follow)
        place, masks = (self._words(follow.buffers[name]) for name in ("place", "masks"))
        texts = self._words(follow.buffers["texts"])
        vocab = sizes["VOCAB"]
        data = bytes(texts[vocab + 1 :])

        def text_of(token: int) -> bytes:
            return data[texts[token] : texts[token + 1]]

        words = self._words(follow.buffers["automaton"])
        reader = Followed(words, Sizes(), sizes["LONGEST"])
        token, _, slot, drawn = row
        now = A_PLACE * slot + 2 * (drawn & 1)
        before = now if stand else now ^ 2
        found = place[before], place[before + 1]
        begin = SLOTS + -(-vocab // 32) * slot
        try:
            if not stand:
                found = reader.follow(found, token, text_of(token))
            elif not found[1]:
                found = reader.arrive(found[0])
            place[now], place[now + 1] = found
            only = reader.only(found)
            masks[slot] = begin if only is None else ONLY | only
            if only is None:
                early = drawn < place[PLACES - 1]
                if (found[0], early) not in self._masks:
                    every = [text_of(i) for i in range(vocab)]
                    self._find_mask(reader, found[0], every, place, early=early)
                allowed = self._masks[found[0], early]
                masks[begin : begin + len(allowed) // 4] = memoryview(allowed).cast("I")
        except (MissingError, StoppedError) as error:
            if isinstance(error, MissingError) and not place[PLACES + error.state % MISSING]:
                place[PLACES + error.state % MISSING] = error.state
            ring = self._words(follow.buffers["ring"])
            ring[drawn % RING * sizes["RING_SLOTS"] + slot] = STALLED
            return False
        return True

    def _find_mask(
        self, reader: Followed, state: int, texts: list[bytes], place: memoryview, *, early: bool
    ) -> None:
        """Find the mask of a state."""
        allowed, missing = bytearray(4 * -(-len(texts) // 32)), None
        for token, text in enumerate(texts):
            try:
                if reader.allows(state, token, text, early=early):
                    allowed[token // 8] |= 1 << token % 8
            except MissingError as error:
                place[PLACES + error.state % MISSING] = error.state
                missing = error
        if missing:
            self.counts["no mask"] += 1
            raise missing
        self._masks[state, early] = allowed


def is_of_a_draw(name: str) -> bool:
    return name.startswith(OF_A_DRAW)


class Simulation:
    """An engine on a simulated GPU.

    Args:
        seconds: other than ``SECONDS``.
    """

    def __init__(self, seconds: Mapping[str, float] | None = None):
        self.clock = Clock()
        self.device = SimulatedGpu(self.clock, {**SECONDS, **(seconds or {})})
        self.kept = json.loads(TEXTS.read_text(encoding="utf-8"))
        self._loop = Loop(self.clock)
        self._perf_counter = time.perf_counter

    def __enter__(self) -> Simulation:
        gc.disable()  # what the simulation leaves would be collected in the engine's time
        time.perf_counter = self.clock.now
        self.engine = self._loop.run_until_complete(webllm_py.load(device=self.device, tune=False))
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.run_until_complete(self.engine.unload())
        self._loop.close()
        time.perf_counter = self._perf_counter
        gc.enable()

    def rate(self, name: str) -> float:
        """Tokens a second of a text, or of several together, ``list1+list2``; behind a slash what
        else is asked for, of ``ASKED``."""
        return self._loop.run_until_complete(self._rate(name))

    async def _rate(self, name: str) -> float:
        texts, _, asked = name.partition("/")
        names, device = texts.split("+"), self.device
        device.texts = [self.kept["texts"][each] for each in names]
        device.checked = not name.startswith("free")
        device.counts.clear()
        fields = {
            "ignore_eos": True,
            "n": len(names),
            **self._fields(names[0].rstrip("0123456789")),
        }
        stream = await self.engine.completions.create(
            prompt=self.kept["prompt"],
            max_tokens=min(TOKENS, *map(len, device.texts)),
            stream=True,
            stream_options={"include_usage": True},
            **{**fields, **ASKED[asked]},
        )
        usage = None
        async for piece in stream:
            usage = piece.usage or usage
        return float(usage.timings.decode_tokens_per_s)

    def _fields(self, kind: str) -> Mapping[str, Any]:
        if kind == "free":
            return FREE
        if kind == "list":
            return UNDER
        schema = {"name": kind, "schema": self.kept[kind]}
        return {**UNDER, "response_format": {"type": "json_schema", "json_schema": schema}}


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if "--pyodide" in words:
        rest = [word for word in words if word != "--pyodide"]
        return run_on_node("simulated_gpu", rest, {"/unpacked": CACHE / "unpacked"})
    seconds = {name: float(value) for name, _, value in (w.partition("=") for w in words) if value}
    names = [word for word in words if "=" not in word]
    with Simulation(seconds) as simulation:
        for name in names or ["free1", *["list1"] * 6, *simulation.kept["texts"], "free1"]:
            waited = simulation.clock.waited
            rate = simulation.rate(name)
            waited = simulation.clock.waited - waited
            print(f"{name}: {rate:,.0f} tokens/s, waited {waited:.3f} s", simulation.device.counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
