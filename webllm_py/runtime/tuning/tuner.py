"""Tries kernels' shapes on the user's device while a model loads, and takes the fastest.

Candidates compile while weights arrive. Then their times are taken within a budget, all problems in
turn as in a decode step, so that each finds the caches as it does there. What was found is kept for
the next load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from webllm_py.errors import DeviceError, DeviceLostError, ShaderError
from webllm_py.gpu.device import Device, Plan
from webllm_py.models.workgroup_shapes import rounds
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.choices import Choices, keep_choices
from webllm_py.runtime.tuning.comparison import run_once
from webllm_py.runtime.tuning.problems import Problem, clear_pages, problems_of, write_step
from webllm_py.runtime.tuning.race import LEAST_SAMPLES, Race, Trial
from webllm_py.runtime.tuning.report import TuningReport
from webllm_py.runtime.tuning.rounding import (
    ROUNDING,
    RoundingCheck,
    offers_rounding,
    rounding_kernels,
)
from webllm_py.runtime.tuning.stopwatch import Stopwatch

__all__ = ["Tuner"]

# That a load may take longer for it: unasked, and where it was asked for.
BUDGET_SECONDS, THOROUGH_SECONDS = 0.3, 60.0
# The parts of that in which compiling may go on, and by whose end times are taken: recording the
# model's plans anew takes the rest.
COMPILING, TIMING = 0.4, 0.8
# Recording trials may take this part of what is left then, and their first times this part of that:
# others run longer.
RECORDING, FIRST_TIMES = 0.5, 0.5
LONGEST_TRIAL_SECONDS = 0.01
# Kernels that take longer to compile are not tried unasked.
SLOW_COMPILE_SECONDS = 0.1
# Kernels compiled side by side: no more than take so long, since the last ones are waited for.
MOST_AT_ONCE, AT_ONCE_SECONDS = 8, 0.1
LIKELY = 3  # shapes of a problem, the default one of them, that are tried before all others
# Enough layers to pass by the caches; few enough to record quickly.
MOST_LAYERS = 16
LEAST_PART = 1 / 64
LEAST_SECONDS = 1e-7
# Of times taken between two looks at the clock, where it can be had.
BATCH_SECONDS = 0.02
MOST_PASSES = 1000  # of one submit: GPUs time 2,048


class Tuner:
    """Tunes one executor, which is not prepared yet.

    Args:
        tune: see ``webllm_py.load``.

    Attributes:
        budget: most seconds that ``finish`` may take, about.
    """

    def __init__(self, executor: Executor, tune: bool | None):
        self.executor = executor
        self.off = tune is False
        self.budget = budget_for(executor.device, tune)
        self.report = TuningReport({}, 0)
        self.problems: list[Problem] = []
        self._compiled: dict[str, list[tuple[int, ...]]] = {}
        self._compiling: asyncio.Task[None] | None = None

    async def prepare(self, kept: Choices, asked: Callable[[], None] = lambda: None) -> None:
        """Prepare the executor with what earlier loads found, and begin to compile what is to be
        tried besides.

        Args:
            asked: see ``Executor.prepare``.
        """
        self._take(kept)
        await self.executor.prepare(asked)
        if not self._tries:
            return
        problems = self._problems()  # once more: the cache has other buffers since
        self.report = replace(self.report, problems=len(problems))
        self.problems = [p for p in problems if p.name not in self.report.shapes]
        if self.problems:
            self._compiling = asyncio.ensure_future(self._compile())

    async def compile_likely(self) -> None:
        """Compile, if they do, the kernels that may gain most: ``finish`` may have time for no
        others. To be called when ``prepare`` has asked for those in use."""
        if self._tries:
            chosen = self.report.shapes
            with suppress(ShaderError):
                kernels = rounding_kernels(self.executor, self._problems(), chosen)
                await self.executor.device.compile(kernels)

    @property
    def _tries(self) -> bool:
        """Whether there is time, and a problem whose shape is not known."""
        known, problems = len(self.report.shapes), self.report.problems
        return self.budget > 0 and (known < problems or not problems)

    def _problems(self) -> list[Problem]:
        return problems_of(self.executor, rounding=offers_rounding(self.executor))

    def _take(self, kept: Choices) -> None:
        """Use the shapes that were kept, as long as they are among this version's."""
        problems = self._problems() if kept and not self.off else []
        chosen = {p.name: kept[p.name] for p in problems if kept.get(p.name) in p.shapes}
        self.executor.tuning = replace(self.executor.tuning, chosen=chosen)
        self.report = TuningReport(chosen, len(problems))

    async def finish(self) -> None:
        """Measure what is compiled, or will be soon, and run the executor with the fastest.

        Raises:
            DeviceLostError: the device went away.
        """
        if self._compiling is None:
            return
        start = time.perf_counter()
        await asyncio.wait({self._compiling}, timeout=COMPILING * self.budget)
        try:
            found = await self._fastest(start + TIMING * self.budget)
        except DeviceLostError:
            raise
        except DeviceError:
            found = {}  # this device cannot be measured; what it runs is right as it is
        shapes = self.report.shapes | found
        if found:
            await self.executor.retune(replace(self.executor.tuning, chosen=shapes))
            await keep_choices(self.executor.device, found)
        seconds = time.perf_counter() - start
        self.report = replace(self.report, shapes=shapes, found=len(found), seconds=seconds)

    async def close(self) -> None:
        """Compile no more."""
        if self._compiling:
            self._compiling.cancel()
            await asyncio.gather(self._compiling, return_exceptions=True)

    async def _compile(self) -> None:
        """Compile shapes, and run each once, for drivers that do half of the work only then.

        The likely ones of each problem first; of these, those of the problems most worth it.
        """
        turns = [
            (problem, shape)
            for some in (slice(0, LIKELY), slice(LIKELY, None))
            for problem in self.problems
            for shape in problem.shapes[some]
        ]
        device = self.executor.device
        at_once = 2  # of which one, the default, is compiled
        while turns:
            start = time.perf_counter()
            some, turns = turns[:at_once], turns[at_once:]
            dispatches = [
                each for problem, shape in some for each in problem.dispatches(shape, 0)[0]
            ]
            await run_once(device, "tuning", dispatches)
            await device.idle()
            for problem, shape in some:
                self._compiled.setdefault(problem.name, []).append(shape)
            each = (time.perf_counter() - start) / len(some)
            if each > SLOW_COMPILE_SECONDS and self.budget < THOROUGH_SECONDS:
                self.report = replace(self.report, slow=True)
                return
            at_once = max(1, min(2 * at_once, MOST_AT_ONCE, int(AT_ONCE_SECONDS / each)))

    async def _leave_out_wrong(self) -> None:
        """Try none of the shapes that round, of formats with which they do not as they should."""
        check = RoundingCheck(self.executor)
        for problem in self.problems:
            shapes = self._compiled.get(problem.name, [])
            rounding = [shape for shape in shapes if rounds(problem.name, shape)]
            if rounding and not await check.allows(problem, rounding[0]):
                self._compiled[problem.name] = [s for s in shapes if s not in rounding]

    async def _fastest(self, deadline: float) -> Choices:
        """The shapes to take, of the problems that could be measured until then."""
        await self.close()
        device = self.executor.device
        await self._leave_out_wrong()
        write_step(self.executor)
        await device.idle()
        problems = [
            problem
            for problem in self.problems
            if len(self._compiled.get(problem.name, ())) >= min(LIKELY, len(problem.shapes))
        ]
        if not problems or time.perf_counter() > deadline:
            return {}
        stopwatch = Stopwatch(device)
        plans: list[Plan] = []

        async def trial_of(problem: Problem, shape: tuple[int, ...], layers: float) -> Trial:
            dispatches, run = problem.dispatches(shape, layers)
            plans.append(await device.record(f"tuning {problem.name}", dispatches))
            return Trial(shape, plans[-1], run, ROUNDING if rounds(problem.name, shape) else 1)

        try:
            first = [await trial_of(problem, problem.shapes[0], 1) for problem in problems]
            a_layer = await stopwatch.set(
                [trial.plan for trial in first], [problem.nbytes for problem in problems]
            )
            races: list[Race] = []
            now = time.perf_counter()
            recorded_by = now + RECORDING * (deadline - now)
            for problem, layers in sized(problems, self._compiled, a_layer, deadline):
                if races and time.perf_counter() > recorded_by:
                    break  # what is most worth it is measured now, the rest by later loads
                shapes = self._compiled[problem.name]
                trials = [await trial_of(problem, shape, layers) for shape in shapes]
                races.append(Race(problem.name, trials))
            await run_races(races, stopwatch, deadline)
        finally:
            for plan in plans:
                device.drop(plan)
            clear_pages(self.executor)
        shapes_found = {race.name: race.winner(stopwatch.tick) for race in races}
        return {name: shape for name, shape in shapes_found.items() if shape}


def budget_for(device: Device, tune: bool | None) -> float:
    """Seconds that tuning may add to a load.

    Unasked, none on a CPU that plays a GPU: it compiles for longer than a load takes.
    """
    if tune is None:
        return 0.0 if device.info.is_cpu else BUDGET_SECONDS
    return THOROUGH_SECONDS if tune else 0.0


def sized(
    problems: Sequence[Problem],
    compiled: Mapping[str, Sequence[tuple[int, ...]]],
    a_layer: Sequence[float],
    deadline: float,
) -> Iterator[tuple[Problem, float]]:
    """How many layers of each problem a trial runs, or what part of one, so that all trials have
    their first times early enough. Problems for which there is no time are left out.

    Args:
        a_layer: seconds that timing a layer of each problem takes.
    """
    left = deadline - time.perf_counter()
    trials = sum(len(compiled[problem.name]) for problem in problems)
    wanted = min(LONGEST_TRIAL_SECONDS, FIRST_TIMES * left / (LEAST_SAMPLES * trials))
    for problem, one in zip(problems, a_layer, strict=True):
        wanted_layers = wanted / max(one, LEAST_SECONDS)
        layers: float = min(int(wanted_layers), problem.layers, MOST_LAYERS)
        layers = layers or max(LEAST_PART, problem.least, wanted_layers)
        seconds = layers * one * LEAST_SAMPLES * len(compiled[problem.name])
        if seconds < left:
            left -= seconds
            yield problem, layers


async def run_races(races: Sequence[Race], stopwatch: Stopwatch, deadline: float) -> None:
    """Round by round, a trial of each problem in a round, until all is clear or time is up."""
    at_once = 1  # rounds between two looks at the clock
    while time.perf_counter() < deadline and not all(race.settled for race in races):
        trials = [race.next() for _ in range(at_once) for race in races]
        start = time.perf_counter()
        seconds = await stopwatch.seconds([trial.plan for trial in trials])
        for trial, taken in zip(trials, seconds, strict=True):
            trial.took(taken)
        for race in races:
            race.narrow(stopwatch.tick)
        a_round = (time.perf_counter() - start) / at_once
        at_once = max(1, min(int(BATCH_SECONDS / a_round), MOST_PASSES // len(races)))
