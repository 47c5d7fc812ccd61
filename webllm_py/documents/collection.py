"""A collection of documents: kept by name, searched by words and by meaning, asked questions."""

from __future__ import annotations

import asyncio
import builtins
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

from webllm_py.documents.asking import DocumentAnswer, DocumentStream, PromptForm, answer
from webllm_py.documents.bm25 import BM25
from webllm_py.documents.fusion import fused
from webllm_py.documents.passage import DocumentInfo, Passage
from webllm_py.documents.reading import text_of
from webllm_py.documents.splitting import PAGE_END, Span, split
from webllm_py.documents.storage import DocumentStore, StoredDocument
from webllm_py.documents.vectors import Embedder, cosines
from webllm_py.documents.words import count_tokens, query_words, words
from webllm_py.errors import DocumentError, RequestError
from webllm_py.units import counted

if TYPE_CHECKING:
    from webllm_py.engine import Engine

__all__ = ["Documents"]

Key = tuple[str, int]  # a document's name, and which of its passages
OnProgress = Callable[[int, int], object]

SHARE = 0.5  # of the best score of a ranking: passages with less do not count as matches


class Documents:
    """Documents that a model answers questions from. Made by ``await Documents.open(name)``.

    Without an embedder they are searched by words (BM25); with one by meaning as well, and the two
    rankings are fused (reciprocal rank fusion). Everything that reads or writes the store may raise
    SourceError.
    """

    def __init__(self, name: str, store: DocumentStore, passage_tokens: int, overlap_tokens: int):
        """Use ``open``."""
        self.name = name
        self._store = store
        self._sizes = passage_tokens, overlap_tokens
        self._documents: dict[str, StoredDocument] = {}
        self._lexical: BM25[Key] = BM25()
        self._embedder: Embedder | None = None
        self._writing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Documents({self.name!r}, {counted(len(self._documents), 'document')})"

    @classmethod
    async def open(
        cls,
        name: str,
        embedder: Engine | Embedder | None = None,
        *,
        store: Any = None,
        passage_tokens: int = 200,
        overlap_tokens: int = 40,
        on_progress: OnProgress | None = None,
    ) -> Documents:
        """Open a collection, a new one if none has the name.

        Args:
            embedder: an engine that has loaded a text embedder, see ``use``.
            store: where it is kept, as ``models_store`` takes it: natively a folder.
            passage_tokens: most tokens of a passage, the embedder's (without one, an estimate); a
                change holds for what is added or embedded from now on.
            overlap_tokens: most tokens that a passage has in common with the one before.
            on_progress: see ``use``.

        Raises:
            ValueError: there is no room for a passage beside the overlap.
            RequestError: the engine's model is no embedder.
        """
        if not 0 <= overlap_tokens < passage_tokens:
            raise ValueError("overlap_tokens must be from 0 to below passage_tokens")
        documents = cls(name, DocumentStore(name, store), passage_tokens, overlap_tokens)
        async for document in documents._store.read():
            documents._put(document)
            await asyncio.sleep(0)  # indexing takes a while, and others want to go on
        if embedder is not None:
            await documents.use(embedder, on_progress=on_progress)
        return documents

    async def use(
        self, embedder: Engine | Embedder | None, *, on_progress: OnProgress | None = None
    ) -> None:
        """Search with an embedder from now on, or with None by words alone.

        Documents that have no vectors of it get them now.

        Args:
            embedder: an engine that has loaded a text embedder; or an ``Embedder``, which says
                what the model wants in front of texts.
            on_progress: called with how many passages are embedded, and how many have to be.
        """
        if embedder is not None and not isinstance(embedder, Embedder):
            embedder = Embedder(embedder)
        async with self._writing:
            self._embedder = embedder
            if embedder is None:
                return
            stale = [
                document if document.measured == self._measure else self._split(document)
                for document in self._documents.values()
                if not self._is_current(document)
            ]
            total, before = sum(len(document.spans) for document in stale), 0
            for document in stale:
                await self._keep(document, on_progress, before, total)
                before += len(document.spans)

    async def add(
        self, name: str, content: str | bytes, *, on_progress: OnProgress | None = None
    ) -> DocumentInfo:
        """Add a document, in the place of one of that name.

        Args:
            content: its text, Markdown or plain; or the bytes of a text file (UTF-8) or of a PDF
                with text, for which pypdf must be installed.
            on_progress: as of ``use``.

        Raises:
            DocumentError: there is no text in it, or it is of another kind.
            MissingPackageError: it is a PDF, and pypdf is not there.
            TypeError: the content is neither text nor bytes.
        """
        text = await text_of(name, content)
        async with self._writing:
            document = self._split(StoredDocument(name, text, (), "", None, array("f")))
            await self._keep(document, on_progress, 0, len(document.spans))
            return self._info(self._documents[name])

    async def remove(self, name: str) -> None:
        """Remove a document.

        Raises:
            DocumentError: there is none of that name.
        """
        async with self._writing:
            self._known(name)
            await self._store.remove(name)
            self._forget(name)

    def list(self) -> list[DocumentInfo]:
        """All documents, by name."""
        return [self._info(self._documents[name]) for name in sorted(self._documents)]

    def text(self, name: str) -> str:
        """The text of a document, which passages' positions count in.

        Raises:
            DocumentError: there is none of that name.
        """
        return self._known(name).text

    async def search(self, question: str, k: int = 5) -> builtins.list[Passage]:
        """The ``k`` passages that match a question best, the best first; fewer if fewer match.

        Raises:
            RequestError: the question is no text or empty, or ``k`` no number from 1.
        """
        if not isinstance(question, str):
            raise RequestError("the question must be a string", param="question")
        if not question.strip():
            raise RequestError("the question is empty", param="question")
        if not (hasattr(k, "__index__") and k >= 1):
            raise RequestError(f"k must be a whole number of at least 1, not {k!r}", param="k")
        # First what is waited for: documents may come and go meanwhile, and the embedder too.
        embedder = self._embedder
        vector = await embedder.embed_question(question) if embedder else None
        found = self._lexical.rank(query_words(question))
        if vector is not None and embedder is self._embedder:
            found = fused([finds(found), finds(self._near(vector))])
        return [self._passage(key, score) for key, score in found[:k]]

    @overload
    async def ask(
        self, engine: Engine, question: str, *, stream: Literal[True], **options: Any
    ) -> DocumentStream: ...
    @overload
    async def ask(self, engine: Engine, question: str, **options: Any) -> DocumentAnswer: ...
    async def ask(
        self,
        engine: Engine,
        question: str,
        *,
        k: int = 5,
        stream: bool = False,
        form: PromptForm | None = None,
        **fields: Any,
    ) -> DocumentAnswer | DocumentStream:
        """Have a model answer a question from the documents. The answer comes with its sources,
        numbered as it cites them.

        Args:
            engine: an engine of a language model.
            k: most sources; fewer are taken where the model's context holds no more.
            stream: whether the answer comes in pieces.
            form: the prompt; None for one that suits the model's size.
            fields: further fields of ``engine.chat.completions.create``.

        Raises:
            DocumentError: no document has anything about the question.
            ContextLengthError: the question and one source are longer than the context.
            RequestError: ``fields`` has messages: they are made here.
            WebLLMError: what the search and the engine raise.
        """
        if "messages" in fields:
            problem = "'messages' are made from the question and what is found; leave them out"
            raise RequestError(problem, param="messages")
        passages = await self.search(question, k)
        if not passages:
            raise DocumentError(
                "nothing was found for this question: use words that the documents have, or an "
                "embedder, which searches by meaning"
            )
        return await answer(engine, question, passages, form, stream, fields)

    @property
    def _measure(self) -> str:
        """What passages' sizes were counted by, and the sizes: other ones mean splitting anew."""
        counted = self._embedder.id if self._embedder else "words"
        return "{} {}/{}".format(counted, *self._sizes)

    def _split(self, document: StoredDocument) -> StoredDocument:
        size, overlap = self._sizes
        count = count_tokens
        if self._embedder is not None:
            count, size = self._embedder.count_tokens, self._embedder.passage_tokens(size)
        spans = split(document.text, count, size=size, overlap=min(overlap, size // 2))
        return replace(
            document, spans=tuple(spans), measured=self._measure, embedder=None, vectors=array("f")
        )

    async def _keep(
        self, document: StoredDocument, on_progress: OnProgress | None, before: int, total: int
    ) -> None:
        """Embed a document, if there is an embedder, and store it."""
        embedder = self._embedder
        if embedder is not None:
            vectors = await embedder.embed_passages(
                [(" > ".join(s.headings), document.text[s.start : s.end]) for s in document.spans],
                lambda done: on_progress and on_progress(before + done, total),
            )
            document = replace(document, embedder=embedder.id, vectors=vectors)
        await self._store.write(document)
        self._put(document)

    def _put(self, document: StoredDocument) -> None:
        self._forget(document.name)
        self._documents[document.name] = document
        for number, span in enumerate(document.spans):
            above = " ".join([document.name, *span.headings])
            self._lexical.add(
                (document.name, number), words(f"{above}\n{document.text[span.start : span.end]}")
            )

    def _forget(self, name: str) -> None:
        document = self._documents.pop(name, None)
        for number in range(len(document.spans) if document else 0):
            self._lexical.remove((name, number))

    def _near(self, question: array[float]) -> builtins.list[tuple[Key, float]]:
        """All passages that have vectors, the nearest first."""
        found = [
            ((name, number), score)
            for name, document in self._documents.items()
            if self._is_current(document)
            for number, score in enumerate(cosines(document.vectors, question))
        ]
        return sorted(found, key=lambda item: -item[1])

    def _is_current(self, document: StoredDocument) -> bool:
        """Whether its vectors are those of the embedder in use."""
        embedder = self._embedder
        return embedder is not None and document.embedder == embedder.id

    def _passage(self, key: Key, score: float) -> Passage:
        name, number = key
        document = self._documents[name]
        span: Span = document.spans[number]
        text = document.text
        page = text.count(PAGE_END, 0, span.start) + 1 if PAGE_END in text else None
        quoted = text[span.start : span.end]
        return Passage(name, quoted, span.start, span.headings, page, score)

    def _info(self, document: StoredDocument) -> DocumentInfo:
        return DocumentInfo(
            document.name, len(document.text), len(document.spans), self._is_current(document)
        )

    def _known(self, name: str) -> StoredDocument:
        if name not in self._documents:
            raise DocumentError(f"{self.name} has no document {name!r}")
        return self._documents[name]


def finds(ranking: list[tuple[Key, float]]) -> list[Key]:
    """The part of a ranking that matches well. With the rest, fusion would put a passage that is
    poor in both rankings, for being in both, before the best one of a single ranking."""
    best = ranking[0][1] if ranking else 0.0
    return [key for key, score in ranking if score >= best * SHARE]
