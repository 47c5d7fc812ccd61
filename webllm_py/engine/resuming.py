"""How an answer outlives its process: its tokens are kept, and another engine draws the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from webllm_py.engine.answers import Answer, Asked
from webllm_py.errors import StateError
from webllm_py.fetch.options import FetchOptions

if TYPE_CHECKING:
    from webllm_py.engine.resources import Chat, Completions
    from webllm_py.fetch.store.kept_answers import AnswersStore, KeptAnswer, Unfinished
    from webllm_py.loading import LoadedModel, LoadOptions
    from webllm_py.streaming import Stream

__all__ = ["Resuming"]


class Resuming:
    """The part of ``Engine`` that keeps answers and finishes those that were cut off."""

    if TYPE_CHECKING:
        _options: LoadOptions
        chat: Chat
        completions: Completions

        @property
        def loaded(self) -> LoadedModel: ...
        @property
        def name(self) -> str: ...
        @property
        def writes(self) -> bool: ...
        @property
        def models(self) -> Mapping[str, Self]: ...
        async def _surviving(self, work: Callable[[], Awaitable[Any]]) -> Any: ...
        async def respond(self, asked: Asked, known: KeptAnswer | None = None) -> Any: ...

    async def unfinished(self) -> list[Unfinished]:
        """Answers to requests with ``resumable`` that were cut off when their process or tab ended,
        of any model, the newest first. Those that another process or tab is giving are left out.
        """
        return [answer.described() for answer in await self._answers.unfinished()]

    async def resume(self, name: str | None = None) -> Stream[Any] | None:
        """Finish an answer to a request with ``resumable`` that was cut off: the text that was
        generated comes first, at once, then the rest, as the answer would have had it uncut.

        Args:
            name: the request's ``resumable`` if that was a name, else the answer's id; None for the
                newest one that this model gave.

        Returns:
            The answer as a stream, with its id, however it was asked for; None if ``name`` is None
            and there is nothing to finish.

        Raises:
            StateError: there is no such answer, another tab or process is giving it, or another
                model began it.
        """
        own = {await one._fingerprint(): one for one in self.models.values() if one.writes}
        if name is None:
            answers = await self._answers.unfinished()
            found = next((one for one in answers if one.head["fingerprint"] in own), None)
            return await own[found.head["fingerprint"]]._finish(found) if found else None
        found = await self._answers.find(name)
        if found is None:
            raise StateError(
                f"there is no answer {name!r} to finish here: it came to its end, or another tab "
                "or process is giving it"
            )
        if found.head["fingerprint"] not in own:
            raise StateError(
                f"the answer {name!r} was begun by {found.head['model']}, with other weights or "
                f"steering than {self.name} has here; resume it with that one"
            )
        return await own[found.head["fingerprint"]]._finish(found)

    async def forget(self, name: str) -> None:
        """Delete an answer that was cut off; no error if there is none."""
        if found := await self._answers.find(name):
            await found.remove()

    async def _fingerprint(self) -> str:
        from webllm_py.runtime.saved_state import fingerprint

        found: str = await self._surviving(lambda: fingerprint(self.loaded.executor))
        return found

    @property
    def _answers(self) -> AnswersStore:
        # Not before they are needed: a page starts Python from a snapshot.
        from webllm_py.fetch.store.kept_answers import AnswersStore
        from webllm_py.fetch.store.models_store import models_store

        fetch = self._options.fetch or FetchOptions()
        return AnswersStore(models_store(fetch.store).backend)

    async def _finish(self, answer: KeptAnswer) -> Stream[Any]:
        head = answer.head
        chats = head["kind"] == "chat"
        asked = await (self.chat.completions if chats else self.completions).asked(
            {**head["fields"], "stream": True}, tuple(head["identity"])
        )
        prompts = [
            replace(prompt, tokens=tokens)
            for prompt, tokens in zip(asked.prompts, head["prompts"], strict=True)
        ]
        return await self.respond(  # type: ignore[no-any-return]
            replace(asked, prompts=prompts), answer
        )

    def _kept(
        self, asked: Asked, answer: Answer, known: KeptAnswer | None
    ) -> AbstractAsyncContextManager[None]:
        """Keep the answer's tokens while it is given, if the request is resumable."""
        if not asked.request.resumable:
            return nullcontext()
        from webllm_py.engine.keeping import keeping

        return keeping(self._answers, asked, answer, known, model=self.name)
