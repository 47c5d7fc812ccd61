"""A part of a document that was found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DocumentInfo", "Passage"]


@dataclass(frozen=True)
class Passage:
    """A part of a document, as it stands there.

    Attributes:
        document: its name.
        text: the passage, word by word.
        start: where it begins in the document's text, in characters.
        headings: those that it stands below, the outermost first.
        page: of a PDF, from 1; None of other documents.
        score: the higher, the better it fits; only to be compared with those of the same search.
    """

    document: str
    text: str
    start: int
    headings: tuple[str, ...]
    page: int | None
    score: float

    @property
    def end(self) -> int:
        """Where it ends in the document's text, in characters."""
        return self.start + len(self.text)

    @property
    def title(self) -> str:
        """Where it stands, for people: the document, the page, the headings."""
        page = [f"page {self.page}"] if self.page else []
        headings = [" > ".join(self.headings)] if self.headings else []
        return ", ".join([self.document, *page, *headings])


@dataclass(frozen=True)
class DocumentInfo:
    """A document of a collection.

    Attributes:
        name: what it was added as.
        characters: of its text.
        passages: that it was split into.
        embedded: whether they have vectors of the embedder in use.
    """

    name: str
    characters: int
    passages: int
    embedded: bool
