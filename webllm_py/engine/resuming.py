"""How an answer outlives its process: its tokens are kept, and another engine draws the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from webllm_py.engine.responding import RespondingMixin
from webllm_py.engine.several_models import SeveralModelsMixin
from webllm_py.errors import StateError

if TYPE_CHECKING:
    from webllm_py.engine.resources import Chat, Completions
    from webllm_py.fetch.store.kept_answers import AnswersStore, KeptAnswer, Unfinished
    from webllm_py.streaming import Stream

__all__ = ["ResumingMixin"]


class ResumingMixin(RespondingMixin, SeveralModelsMixin):
    """The part of ``Engine`` that finishes answers that were cut off."""

    chat: Chat
    completions: Completions

    async def unfinished(self) -> list[Unfinished]:
        """Answers to requests with ``resumable`` that were cut off when their process or tab ended,
        of any model, the newest first. Those that another process or tab is giving are left out.
        """
        found = await self._answers.unfinished()
        own = await self._own() if found else {}
        return [described(answer, own.get(answer.head["fingerprint"])) for answer in found]

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
        own = await self._own()
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

    async def _own(self) -> dict[str, Self]:
        """The models that can go on with an answer, by what is kept of them with it."""
        return {await one._fingerprint(): one for one in self.models.values() if one.writes}

    async def _fingerprint(self) -> str:
        from webllm_py.runtime.saved_state import fingerprint

        found: str = await self._surviving(lambda: fingerprint(self.loaded.executor))
        return found

    @property
    def _answers(self) -> AnswersStore:
        from webllm_py.engine.keeping import answers_store  # a page starts Python from a snapshot

        return answers_store(self._options)

    async def _finish(self, answer: KeptAnswer) -> Stream[Any]:
        head = answer.head
        chats = head["kind"] == "chat"
        prepared = await (self.chat.completions if chats else self.completions).prepare(
            {**head["fields"], "stream": True}, tuple(head["identity"])
        )
        prompts = [
            replace(prompt, tokens=tokens)
            for prompt, tokens in zip(prepared.prompts, head["prompts"], strict=True)
        ]
        return await self.respond(  # type: ignore[no-any-return]
            replace(prepared, prompts=prompts), answer
        )


def described(answer: KeptAnswer, model: ResumingMixin | None) -> Unfinished:
    """What is known of an answer, for people: with the model that can go on with it, what it said
    up to the last whole character."""
    found = answer.described()
    if model is None:
        return found
    tokens, _, count = answer.said[0] if answer.said else ([], None, 0)
    text = model.tokenizer.decode(tokens[:count], skip_special=True)
    return replace(found, model=model.name, text=text.rstrip("\ufffd"))
