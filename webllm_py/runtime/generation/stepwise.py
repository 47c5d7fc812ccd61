"""Decoding where Python has a say in each token: one wait for the GPU a token."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webllm_py.runtime.generation.constraints import Constraint, Place, Vocabulary
from webllm_py.runtime.generation.masks import HostMasks
from webllm_py.runtime.generation.processors import Processors
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.sampling.settings import SamplingSettings

if TYPE_CHECKING:
    from webllm_py.runtime.sampling.repeats import TextRules

__all__ = ["StepTimes", "Stepwise"]


@dataclass
class StepTimes:
    """Seconds that parts of an answer's steps took.

    Attributes:
        tokens: from one token to the next.
        masks: of finding each mask; of all answers that are decoded together.
        processors: of each step's logits processors.
    """

    tokens: list[float] = field(default_factory=list)
    masks: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)


class Stepwise:
    """Draws the tokens of a run's answers with Python in between.

    A step's forward pass is submitted before the tokens that it begins with are read, so that the
    GPU computes while Python reads those and prepares the draw. Text that the constraint leaves an
    only answer no choice about is not drawn: its tokens go through the model together.

    Args:
        settings: what all answers have in common.
        constraints: of each answer: only tokens that it allows are drawn, and where it allows none,
            the answer ends; none of them for any text.
        vocabulary: has to be known for DRY, and for text that is not drawn.
        said: tokens that the only answer has already.
        times: to be filled in.

    Attributes:
        places: where each answer's text stands under its constraint.
        masks: those of the answers' draws.
        rules: of each answer, what the settings say about repetitions, if they do.
    """

    def __init__(
        self,
        run: Run,
        settings: SamplingSettings,
        constraints: Sequence[Constraint] = (),
        vocabulary: Vocabulary | None = None,
        said: Sequence[int] = (),
        times: StepTimes | None = None,
    ):
        self.run = run
        self.times = times or StepTimes()
        self.sampler = run.decoder.sampler
        self.vocabulary = vocabulary
        self.places = [Place(constraint, vocabulary) for constraint in constraints]
        ends = vocabulary.end_ids if vocabulary else ()
        least, seconds = settings.min_tokens, self.times.masks
        self.masks = HostMasks(self.sampler, self.places, ends, least, seconds)
        self.rules = rules_of(settings, [*run.prompt, *said], vocabulary, run.decoder.slots)
        self._vocab = run.executor.model.config.vocab_size
        self._processors = Processors(settings.logits_processors, self._vocab)
        self._continues = bool(said)
        # Whether each token must be drawn: processors and log-probabilities are about its logits.
        several = run.decoder.slots > 1
        self._each_token = bool(self._processors or run.decoder.logprobs or several)

    @property
    def needed(self) -> bool:
        """Whether Python has a say in each token: a constraint has it beforehand."""
        return bool(self._processors or self.rules)

    async def tokens(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, one at a time or as many as are certain.

        Processors see, and may change, the logits of each step before the GPU draws.
        """
        run, device = self.run, self.run.device
        device.replay(await run.decoder.plan("head"))
        await self.masks.prepare()
        if not self._continues:
            self._processors.reset()
        while run.active and run.issued < run.max_tokens:
            if certain := self._certain():
                await run.put(certain)
                self._accept(0, certain)
                yield 0, certain
                continue
            if mute := [index for index in run.active if not self._mask(index)]:
                if not run.issued:
                    return
                await self._go_on_without(mute)
                continue
            for index in run.active if self.rules else ():
                self.sampler.rebias(self.rules[index].changes(), index)
            if self._processors:
                await self._process()
            await run.draw_one()
            over = set[int]()
            for index, tokens in await run.read_one():
                if self._accept(index, tokens):
                    yield index, tokens
                else:  # a processor left none of those that may follow, or there were no numbers
                    await self.masks.check_refused(run, index)
                    over.add(index)
            if ended := [i for i in run.active if i in run.ended or i in over]:
                await self._go_on_without(ended)

    async def _go_on_without(self, ended: Container[int]) -> None:
        """Leave answers behind, with nothing in flight but a forward pass, which is made again for
        the others: its rows are theirs now."""
        run = self.run
        run.active = [index for index in run.active if index not in ended]
        if run.active and run.issued < run.max_tokens:
            run.executor.write_rows([run.row(index) for index in run.active])
            run.device.replay(await run.forward_pass())

    def _accept(self, index: int, tokens: list[int]) -> bool:
        """Tell all of an answer's tokens; whether its constraint allows them."""
        for token in tokens:
            if self.places and not self.places[index].accept(token):
                return False
            if self.rules:
                self.rules[index].accept(token)
            self._processors.accept(token)
        return True

    def _mask(self, index: int) -> bool:
        """Say what an answer may go on with; whether there is anything."""
        return not self.places or self.masks.put(index, self.run.issued)

    def _certain(self) -> list[int]:
        """Tokens that spell what must come next."""
        if not self.places or self._each_token:
            return []
        return [*self.places[0].coming[: self.run.max_tokens - self.run.issued]]

    async def _process(self) -> None:
        """Let the processors change the logits."""
        device, decoder = self.run.device, self.run.decoder
        drawn_from, begun = decoder.drawing.logits, time.perf_counter()
        data = await device.read(drawn_from, 0, 4 * self._vocab)
        if decoder.logprobs:
            decoder.logprobs.take(data)
        device.write(drawn_from, 0, await self._processors.process(data))
        self.times.processors.append(time.perf_counter() - begun)


def rules_of(
    settings: SamplingSettings, text: list[int], vocabulary: Vocabulary | None, answers: int
) -> list[TextRules]:
    """The settings' rules about repetitions for each answer, if there are any."""
    if not settings.has_rules:
        return []
    # Not before: a page's snapshot is small.
    from webllm_py.runtime.sampling.repeats import TextRules

    return [TextRules(settings, text, vocabulary) for _ in range(answers)]
