"""Ask your documents: texts are split, embedded, searched and quoted in answers, where Python runs.

::

    documents = await webllm_py.Documents.open("notes", embedder)
    await documents.add("report.md", text)
    answer = await documents.ask(engine, "What did we decide?", stream=True)
    async for chunk in answer:
        print(chunk.choices[0].delta.content or "", end="")
    print(*[passage.title for passage in answer.sources], sep="\\n")

``splitting`` makes passages, ``bm25`` and ``vectors`` rank them, ``fusion`` joins the rankings,
``asking`` writes the prompt, ``storage`` keeps everything in the models' store.
"""

from webllm_py.documents.asking import DocumentAnswer, DocumentStream, PromptForm
from webllm_py.documents.collection import Documents
from webllm_py.documents.passage import DocumentInfo, Passage
from webllm_py.documents.vectors import Embedder

__all__ = [
    "DocumentAnswer",
    "DocumentInfo",
    "DocumentStream",
    "Documents",
    "Embedder",
    "Passage",
    "PromptForm",
]
