"""Answers that are under way, kept beside the models so that a later process can finish them.

Of an answer there is a head, written once, and what was said so far, written some times a second in
one of two records in turn: whenever the process ends, one of them is whole.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from webllm_py.fetch.backends.backend import Backend, HeldLock

__all__ = ["AnswersStore", "KeptAnswer", "Said", "Unfinished"]

FOLDER = "answers"
NEEDED = {"name", "key", "begun", "model", "kind", "fields", "identity", "prompts", "fingerprint"}
"""What a head that can be finished from has: another version's may lack some."""
MOST_SECONDS = 7 * 24 * 3600
"""After so long nobody asks any more how an answer would have gone on."""

Said: TypeAlias = list[tuple[list[int], str | None, int]]
"""For each choice: its tokens, why it ended if it has, and how many tokens count."""


@dataclass(frozen=True)
class Unfinished:
    """An answer that was cut off.

    Attributes:
        name: what ``engine.resume`` takes.
        model: the model that gave it, by its name here if it is loaded.
        begun: when, in seconds since 1970.
        tokens: how many were said, all choices together.
        text: what the first choice said, its thoughts too; None where its model is not loaded here.
    """

    name: str
    model: str
    begun: float
    tokens: int
    text: str | None = None


@dataclass
class KeptAnswer:
    """An answer, as far as it is kept.

    Attributes:
        head: plain values; what the answer's process gave, and when it began.
        said: of each choice that had begun.
    """

    backend: Backend
    name: str
    head: dict[str, Any]
    said: Said = field(default_factory=list)
    held: HeldLock | None = None
    written: int = 0

    async def write_head(self) -> None:
        """Keep the head.

        Raises:
            SourceError: it cannot be written; as all of these.
        """
        await self.backend.write_record(FOLDER, f"h {place_of(self.name)}", json.dumps(self.head))

    async def write(self, said: Said) -> None:
        """Keep what was said."""
        self.written += 1
        record = {"of": self.head["key"], "number": self.written, "said": said}
        name = f"{self.written % 2} {place_of(self.name)}"
        await self.backend.write_record(FOLDER, name, json.dumps(record, separators=(",", ":")))

    async def remove(self) -> None:
        """It is over."""
        for part in "h01":
            await self.backend.delete(FOLDER, f"{part} {place_of(self.name)}")
        await self.release()

    async def release(self) -> None:
        """Let another process finish it."""
        held, self.held = self.held, None
        if held:
            await held.release()

    def described(self) -> Unfinished:
        """What is known of it, for people."""
        tokens = sum(len(tokens) for tokens, *_ in self.said)
        return Unfinished(self.name, self.head["model"], self.head["begun"], tokens)


class AnswersStore:
    """All of them, in a backend of the models' store."""

    def __init__(self, backend: Backend):
        self.backend = backend

    async def begin(
        self, name: str, head: dict[str, Any], known: KeptAnswer | None = None
    ) -> KeptAnswer | None:
        """A new answer, or one that is being finished; None if one of this name is under way.

        Nothing is written yet.
        """
        held = await self.backend.lock(lock_of(place_of(name)))
        if held is None:
            return None
        if known:
            return KeptAnswer(self.backend, name, known.head, held=held, written=known.written)
        head = {**head, "name": name, "key": uuid.uuid4().hex, "begun": time.time()}
        return KeptAnswer(self.backend, name, head, held=held)

    async def unfinished(self) -> list[KeptAnswer]:
        """The answers that nobody is giving any more, the newest first."""
        places = [name[2:] for name in await self.backend.files(FOLDER) if name[:2] == "h "]
        found = [await self._at(place) for place in places]
        answers = [answer for answer in found if answer]
        return sorted(answers, key=lambda answer: -answer.head["begun"])

    async def find(self, name: str) -> KeptAnswer | None:
        """One of them; None where there is none of this name, or it is under way."""
        return await self._at(place_of(name))

    async def _at(self, place: str) -> KeptAnswer | None:
        held = await self.backend.lock(lock_of(place))
        if held is None:
            return None
        try:
            head = parsed(await self.backend.read_record(FOLDER, f"h {place}"))
            if head is None or not head.keys() >= NEEDED:
                return None
            answer = KeptAnswer(self.backend, head["name"], head)
            if head["begun"] + MOST_SECONDS < time.time():
                await answer.remove()
                return None
            for part in "01":
                record = parsed(await self.backend.read_record(FOLDER, f"{part} {place}"))
                if not record or not record.keys() >= {"of", "number", "said"}:
                    continue
                if record["of"] == head["key"] and record["number"] > answer.written:
                    answer.said, answer.written = record["said"], record["number"]
            return answer
        finally:
            await held.release()


def place_of(name: str) -> str:
    """An answer's name among files, whatever it is called, and however long."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def lock_of(place: str) -> str:
    """The name of the lock that the process has which gives an answer."""
    return f"answer {place}"


def parsed(text: str | None) -> dict[str, Any] | None:
    """A record; None of one that was cut short."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
