"""The text of a document, from what was dropped in: text, Markdown, or a PDF's text."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sys
from typing import Any

from webllm_py.documents.splitting import PAGE_END
from webllm_py.errors import DocumentError
from webllm_py.optional import optional_module

__all__ = ["text_of"]

SILENT = logging.NullHandler()
BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-öø-ÿ])")
BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


async def text_of(name: str, content: str | bytes) -> str:
    """A document's text; of a PDF its pages, each but the last ended by a form feed.

    Raises:
        DocumentError: it has none, or is of another kind.
        MissingPackageError: it is a PDF, and pypdf is not installed.
        TypeError: it is neither text nor bytes.
    """
    if isinstance(content, str):
        text = content
    elif not isinstance(content, bytes | bytearray):
        raise TypeError(
            f"the content of {name} must be its text or a file's bytes (Path.read_bytes()), not "
            f"{type(content).__name__}"
        )
    elif b"%PDF-" in content[:1024]:
        text = await pdf_text(name, content)
    else:
        text = decoded(name, content)
    if not text.strip():
        raise DocumentError(f"{name} is empty: there is no text in it")
    # Lone halves of surrogate pairs: PDFs have them whose fonts map their letters wrongly.
    return text.encode("utf-8", "replace").decode()


def decoded(name: str, content: bytes) -> str:
    """A text file's text."""
    encoding = next((name for bom, name in BOMS if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise DocumentError(
            f"{name} is no text in UTF-8, and no PDF: save it as text, Markdown or PDF"
        )
    return text.replace("\r\n", "\n")


async def pdf_text(name: str, content: bytes) -> str:
    """The text of a PDF's pages."""
    pypdf = await pdf_module()
    logging.getLogger("pypdf").addHandler(SILENT)  # it logs what an error then says
    try:
        pages = []
        for page in pypdf.PdfReader(io.BytesIO(content)).pages:
            pages.append(page.extract_text())
            await asyncio.sleep(0)  # a page takes a while, and others want to go on
    except Exception as error:  # what a damaged file brings about is of many kinds
        problem = str(error) or type(error).__name__
        raise DocumentError(f"{name} cannot be read as a PDF: {problem}") from error
    if not any(page.strip() for page in pages):
        raise DocumentError(
            f"{name} has no text in its {len(pages)} pages, only pictures of it as scans have: "
            "recognise its text first (OCR)"
        )
    text = f"\n{PAGE_END}\n".join(pages)
    return BROKEN_WORD.sub("", text)


async def pdf_module() -> Any:
    """pypdf; in a site of this project its wheel is fetched now, when it is first needed."""
    if sys.platform == "emscripten":
        from webllm_py.fetch.browser import load_package

        await load_package("pypdf")
    return optional_module("pypdf", "reading a PDF", "'webllm-py[pdf]'")
