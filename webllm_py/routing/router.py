"""The router: picks a target for each request, and another one if that fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from webllm_py.api.fields import opened
from webllm_py.errors import ContextLengthError, RequestError, ServerError, WebLLMError
from webllm_py.routing.replies import Reply
from webllm_py.routing.targets import Local, Target, target_of
from webllm_py.streaming import Stream

__all__ = ["Router"]

# Codes of request errors that another target may not have.
ELSEWHERE = ("context_length_exceeded", "model_not_supported", "interrupted", "timeout")


class Router:
    """Answers as an engine does, by one of several targets.

    Targets are tried in the order given, or with ``prefer="latency"`` in the order of how soon
    their recent answers began; one that was not asked yet comes first. The next target is tried if
    one has no memory for its model, too short a context, no device, no connection, or too many
    requests. A wrong request is an error at once, and so is a failure in the middle of a stream.
    Every answer, and every piece of a stream, tells in ``served_by`` which target it is from.

    A request with ``private=True`` goes only to targets on this machine, and is an error if none of
    these can answer.

    Args:
        targets: engines, addresses such as ``"https://host/v1"``, ``Local``, ``Remote``.
    """

    def __init__(self, targets: Sequence[Any], *, prefer: Literal["order", "latency"] = "order"):
        self.targets: list[Target] = [target_of(target) for target in targets]
        if not self.targets:
            raise RequestError("a router needs at least one target")
        if prefer not in ("order", "latency"):
            raise RequestError(
                f"prefer must be 'order' or 'latency', not {prefer!r}", param="prefer"
            )
        self.prefer = prefer
        self.chat = Chat(self)
        self.completions = Resource(self, "completions")
        self.embeddings = Resource(self, "embeddings")

    async def unload(self) -> None:
        """Free what targets loaded; engines that were given stay."""
        for target in self.targets:
            if isinstance(target, Local):
                await target.unload()

    def candidates(self, *, private: bool) -> list[Target]:
        """The targets that may answer, in the order in which they are tried."""
        found = [target for target in self.targets if target.private or not private]
        if self.prefer == "latency":
            found.sort(key=lambda target: target.latency or 0.0)
        return found

    async def pieces(self, path: str, fields: dict[str, Any]) -> AsyncGenerator[Reply, None]:
        """The pieces of an answer, or all of it as the only one.

        Raises:
            ServerError: no target gave one; the message has each one's reason.
            RequestError: the request is wrong.
        """
        private = fields.pop("private", False)
        if not isinstance(private, bool):
            raise RequestError("'private' must be true or false", param="private")
        reasons = []
        for target in self.candidates(private=private):
            begun = False
            try:
                async with aclosing(target.answer(path, fields)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield Reply({**piece, "served_by": target.name})
                return
            except WebLLMError as error:
                if begun or not may_do_elsewhere(error):
                    raise
                named = str(error).startswith(target.name)  # as a remote one's errors are
                reasons.append(str(error) if named else f"{target.name}: {error}")
        if not reasons:
            raise ServerError("no target is private, and the request must not leave this machine")
        raise ServerError("no target answered. " + "; ".join(reasons))


def may_do_elsewhere(error: WebLLMError) -> bool:
    """Whether another target may answer what this one did not."""
    if isinstance(error, RequestError):
        return isinstance(error, ContextLengthError) or error.code in ELSEWHERE
    return True


class Chat:
    """``router.chat``."""

    def __init__(self, router: Router):
        self.completions = Resource(router, "chat/completions")


class Resource:
    """One of the endpoints."""

    def __init__(self, router: Router, path: str):
        self._router, self._path = router, path

    async def create(self, /, **fields: Any) -> Any:
        """The answer, or with ``stream=True`` an asynchronous iterator of its pieces; fields are
        OpenAI's, the target's own, and ``private``.

        Raises:
            ServerError: no target gave one.
            RequestError: the request is wrong.
        """
        fields = opened(fields)  # what OpenAI's client calls extra may say that it is private
        pieces = self._router.pieces(self._path, fields)
        if fields.get("stream"):
            return Stream(pieces)
        async with aclosing(pieces):
            return await anext(pieces)
