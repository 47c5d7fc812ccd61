"""The package inside Pyodide, without the page: what a notebook user does."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import ROOT

sys.path[:0] = [str(ROOT / "tests" / "engine"), str(ROOT / "tests" / "gpu")]

from made_adapters import ADAPTERS, RecordedAdapter  # noqa: E402 - beside the engine's tests
from made_embedders import (  # noqa: E402
    EMBEDDERS,
    FIXTURE,
    texts_of,
    write_embedder_gguf,
)
from made_models import SMALL, tokens_of, weights_of  # noqa: E402
from made_vision import FIXTURE as SEEN  # noqa: E402
from made_vision import (  # noqa: E402
    SEEING,
    conversations,
    png_of,
    write_projector,
    write_text_gguf,
)
from model_files import write_gguf  # noqa: E402
from reference import forward  # noqa: E402

NEW_PAGE = True  # nothing was imported in it
SMALLEST = EMBEDDERS["bert-3x32"]
VECTORS = ROOT / "tests" / "unit" / "tokenizer" / "vectors.py"


@pytest.fixture(scope="module")
def device(python: Any) -> Iterator[None]:
    """``shared_device``, which some of the tests share: a kernel of several is compiled once."""
    python.run_async("from webllm_py.gpu import open_device; shared_device = await open_device()")
    yield
    python.run("shared_device.close()")


def test_micropip_installs_the_wheel_and_what_it_needs(python: Any) -> None:
    installed = python.run("""
        import importlib.metadata
        [importlib.metadata.version(name) for name in ("webllm-py", "jinja2", "markupsafe")]
        """)
    assert len(installed) == 3
    assert installed[0] == "0.1.0"


def test_it_imports_without_numpy_and_without_the_gpu(python: Any) -> None:
    loaded = python.run("""
        import importlib.util, sys
        import webllm_py
        assert importlib.util.find_spec("numpy") is None
        late = ("numpy", "wgpu", "webllm_py.gpu.browser", "webllm_py.gpu.native")
        [name for name in late if name in sys.modules]
        """)
    assert loaded == []


def test_every_module_but_the_native_ones_imports(python: Any) -> None:
    failed = python.run("""
        import importlib, pkgutil
        import webllm_py
        failed = []
        for module in pkgutil.walk_packages(webllm_py.__path__, "webllm_py."):
            if not {"native", "cli"}.intersection(module.name.split(".")):
                try:
                    importlib.import_module(module.name)
                except Exception as error:
                    failed.append(f"{module.name}: {error!r}")
        failed
        """)
    assert failed == []


def test_texts_are_kept_in_the_browser_s_cache(python: Any) -> None:
    kept = python.run_async("""
        from webllm_py.fetch.store.texts import open_store
        before = await open_store("tests").read("x.json")
        for text in ("an older text", "ü"):
            await open_store("tests").write("x.json", text)
        [before, await open_store("tests").read("x.json"), await open_store("other").read("x.json")]
        """)
    assert kept == [None, "ü", None]


def test_tokenizer_vectors(python: Any, shared: Path) -> None:
    # The files go through JavaScript: Pyodide has no synchronous fetch of its own.
    answer = python.run_js(f"""
        pyodide.FS.writeFile("/home/pyodide/vectors.py", {json.dumps(VECTORS.read_text())});
        pyodide.globals.set("fetch_bytes", (path) => {{
          const request = new XMLHttpRequest();
          request.open("GET", "/shared/" + path, false);
          request.overrideMimeType("text/plain; charset=x-user-defined");
          request.send();
          if (request.status !== 200) throw new Error(`${{path}}: ${{request.status}}`);
          return Uint8Array.from(request.responseText, (character) => character.charCodeAt(0));
        }});
        return pyodide.runPython(`
            import functools, json, vectors

            @functools.cache
            def read(path):
                return fetch_bytes(path).to_bytes()

            json.dumps({{case.name: vectors.mismatches(case, read) for case in vectors.CASES}})
        `.replace(/^ {{12}}/gm, ""));
        """)
    wrong = json.loads(answer)
    assert len(wrong) >= 10
    assert {name: texts for name, texts in wrong.items() if texts} == {}


@pytest.mark.usefixtures("device")
def test_a_picked_file_writes_the_known_story(python: Any, shared: Path) -> None:
    """And then what a schema says, whatever it would rather write; and how likely a text is."""
    story = (shared / "checkpoints/stories260K/greedy_200.txt").read_text().rstrip("\n")
    written, constrained, found, expected = python.run_async("""
        import js, math, webllm_py
        from pyodide.ffi import to_js

        schema = {"type": "array", "items": {"enum": ["a", 1, None]}, "minItems": 2, "maxItems": 2}

        answer = await js.fetch("/shared/checkpoints/stories260K/stories260K.gguf")
        file = js.File.new(to_js([await answer.arrayBuffer()]), "stories260K.gguf")
        async with await webllm_py.load(file, device=shared_device) as engine:
            reply = await engine.completions.create(prompt="", max_tokens=200, temperature=0)
            array = await engine.completions.create(
                prompt="",
                max_tokens=60,
                seed=1,
                response_format={"type": "json_schema", "json_schema": {"schema": schema}},
            )
            seen = []

            def see(logits):
                seen.append(list(logits))
                return logits

            scored = await engine.completions.create(
                prompt="Once upon",
                max_tokens=5,
                temperature=0,
                logprobs=2,
                logits_processors=[see],
                timeout=120,
            )
            found = scored.choices[0].logprobs.token_logprobs
            expected = [-math.log(sum(math.exp(z - max(row)) for z in row)) for row in seen]
        [reply.choices[0].text, array.choices[0].text, found, expected]
        """)
    assert written.strip() == story.strip()
    array = json.loads(constrained)
    assert len(array) == 2 and all(item in ("a", 1, None) for item in array)
    assert len(found) == 5 and found == pytest.approx(expected, abs=1e-3)


@pytest.mark.usefixtures("device")
def test_without_await_where_python_can_be_suspended(python: Any, shared: Path) -> None:
    """Entered by runPython, it cannot be."""
    story = (shared / "checkpoints/stories260K/greedy_200.txt").read_text().rstrip("\n")
    whole, streamed = python.run_async("""
        import js
        from pyodide.ffi import to_js
        from webllm_py import sync

        answer = await js.fetch("/shared/checkpoints/stories260K/stories260K.gguf")
        file = js.File.new(to_js([await answer.arrayBuffer()]), "stories260K.gguf")
        fields = {"prompt": "", "max_tokens": 50, "temperature": 0}
        with sync.load(file, device=shared_device) as engine:
            whole = engine.completions.create(**fields).choices[0].text
            pieces = engine.completions.create(stream=True, **fields)
            streamed = "".join(piece.choices[0].text for piece in pieces)
        [whole, streamed]
        """)
    assert story.startswith(whole.strip()) and len(whole) > 100
    assert streamed == whole
    refused = python.run("""
        import webllm_py
        from webllm_py import sync
        try:
            sync.load()
            refused = ""
        except webllm_py.CannotSuspendError as error:
            refused = str(error)
        refused
        """)
    assert "await webllm_py.load(...)" in refused


def test_an_embedder_s_vectors(python: Any, tmp_path: Path) -> None:
    with np.load(FIXTURE) as file:
        expected = file[SMALLEST.name]
    path = write_embedder_gguf(tmp_path / "embedder.gguf", SMALLEST)
    content = base64.b64encode(path.read_bytes()).decode()
    found = python.run_async(f"""
        import base64, json, js, webllm_py
        from pyodide.ffi import to_js

        file = js.File.new(to_js([base64.b64decode("{content}")]), "embedder.gguf")
        async with await webllm_py.load(file) as engine:
            reply = await engine.embeddings.create(input={texts_of(SMALLEST)[:3]})
            packed = await engine.embeddings.create(input="ab", encoding_format="base64")
        json.dumps([[entry.embedding for entry in reply.data], packed.data[0].embedding])
        """)
    vectors, packed = json.loads(found)
    np.testing.assert_allclose(vectors, expected[:3], rtol=0, atol=1e-5)
    assert len(base64.b64decode(packed)) == 4 * SMALLEST.hidden


@pytest.mark.usefixtures("device")
def test_the_open_box(python: Any, tmp_path: Path) -> None:
    """Without numpy: arrays are memoryviews, and vectors lists."""
    tokens, weights = tokens_of(SMALL, 40), weights_of(SMALL)
    path = write_gguf(tmp_path / "small.gguf", SMALL, weights)
    content = base64.b64encode(path.read_bytes()).decode()
    found = python.run_async(f"""
        import base64, json, js, webllm_py
        from pyodide.ffi import to_js
        from webllm_py.runtime import executor

        executor.LONG_PROMPTS, usual = (), executor.LONG_PROMPTS  # whose kernels compile for long
        file, tokens = js.File.new(to_js([base64.b64decode("{content}")]), "a.gguf"), {tokens}
        fields = {{"max_tokens": 4, "temperature": 0, "ignore_eos": True}}
        halved = lambda layer, positions, hidden: [[x / 2 for x in row] for row in hidden.tolist()]
        async with await webllm_py.load(file, device=shared_device, tune=False) as engine:
            seen = await engine.inspect(
                tokens, output_hidden_states=True, output_attentions=True, output_logits=True
            )
            changed = await engine.inspect(tokens, output_hidden_states=True, hooks={{0: halved}})
            lens = await engine.logit_lens(tokens, positions=[39], layers=[2])
            texts = []
            for factor in (0, 0, 9):
                vector = [factor * x for x in seen.hidden_states.tolist()[1][0]]
                async with engine.steer({{0: vector}}):
                    reply = await engine.completions.create(prompt=tokens, **fields)
                    texts.append(reply.choices[0].text)
            await engine.completions.create(prompt=tokens, **fields)
            await engine.save_state("opfs:a state")
            await engine.rewind(43)
            await engine.load_state("opfs:a state")
            try:
                await engine.load_state("opfs:none")
            except webllm_py.SourceError as error:
                refused = str(error)
            reply = await engine.completions.create(prompt=tokens, **fields)
            cached = reply.usage.prompt_tokens_details.cached_tokens
        executor.LONG_PROMPTS = usual
        json.dumps([
            *(x.tolist() for x in (seen.logits, lens, seen.attentions)),
            *(x.tolist()[1] for x in (seen.hidden_states, changed.hidden_states)),
            texts, cached, refused,
        ])
        """)
    logits, lens, attentions, hidden, halved, texts, cached, refused = json.loads(found)
    expected = forward(SMALL.config, weights, tokens)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(lens, expected[None, 39:], rtol=0, atol=1e-4)
    assert np.shape(attentions) == (2, 4, 40, 40)
    np.testing.assert_allclose(np.sum(attentions, -1), 1, atol=1e-5)
    np.testing.assert_allclose(halved, np.array(hidden) / 2, rtol=1e-6)
    assert texts[0] == texts[1] != texts[2]
    assert cached == 39 and "opfs:none" in refused


@pytest.mark.usefixtures("device")
def test_an_adapter_beside_a_model(python: Any, tmp_path: Path) -> None:
    """A folder's files as a page's user picks them, as they are and mixed."""
    adapter, recorded = ADAPTERS["small-plain"], RecordedAdapter.load("small-plain")
    folder = recorded.folder(tmp_path / "adapter", adapter)
    model = write_gguf(tmp_path / "small.gguf", SMALL, weights_of(SMALL))
    contents = {
        path.name: base64.b64encode(path.read_bytes()).decode()
        for path in (model, *folder.iterdir())
    }
    found = python.run_async(f"""
        import base64, json, js, webllm_py
        from pyodide.ffi import to_js
        from webllm_py.runtime import executor

        executor.LONG_PROMPTS, usual = (), executor.LONG_PROMPTS  # whose kernels compile for long
        contents, tokens = {contents}, {adapter.tokens()}
        file, *files = [
            js.File.new(to_js([base64.b64decode(data)]), name) for name, data in contents.items()
        ]
        async with await webllm_py.load(file, device=shared_device, tune=False) as engine:
            plain = await engine.logits(tokens)
            await engine.load_adapter(files, name="picked")
            found = [plain.tolist()]
            for adapters in (["picked"], {{"picked": 0}}):
                found.append((await engine.logits(tokens, adapters=adapters)).tolist())
            await engine.unload_adapter("picked")
            found.append([*engine.adapters])
        executor.LONG_PROMPTS = usual
        json.dumps(found)
        """)
    plain, adapted, without, left = json.loads(found)
    assert recorded.expected.error(np.array(adapted)) < 1e-4
    assert plain == without and not left


def test_an_image_of_a_data_url(python: Any, tmp_path: Path) -> None:
    """Decoded by the browser, it gives transformers' logits."""
    spec = SEEING["idefics3"]
    (message,) = conversations(spec)["tiles"]
    image, question = message["content"]
    url = "data:image/png;base64," + base64.b64encode(png_of(image["image"])).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, question]
    paths = write_text_gguf(tmp_path / "a", spec), write_projector(tmp_path / "b", spec)
    files = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    seen, refused, tokens = json.loads(
        python.run_async(f"""
        import base64, json, js, webllm_py
        from pyodide.ffi import to_js
        from webllm_py.runtime import executor

        def file(content):
            return js.File.new(to_js([base64.b64decode(content)]), "a.gguf")

        executor.LONG_PROMPTS, usual = (), executor.LONG_PROMPTS  # whose kernels compile for long
        seen = []
        text, projector = map(file, {files!r})
        engine = await webllm_py.load(text, vision=projector, kv_dtype="f32", tune=False)
        async with engine:
            reply = await engine.chat.completions.create(
                messages=[{{"role": "user", "content": {parts!r}}}],
                max_tokens=1,
                temperature=0,
                logits_processors=[lambda logits: seen.append(list(logits)) or logits],
            )
            bad = [{{"type": "image", "image": b"GIF89a"}}]
            try:
                await engine.chat.completions.create(messages=[{{"role": "user", "content": bad}}])
            except webllm_py.ImageError as error:
                refused = str(error)
        executor.LONG_PROMPTS = usual
        json.dumps([seen, refused, reply.usage.prompt_tokens])
        """)
    )
    with np.load(SEEN) as arrays:
        assert tokens == len(arrays["idefics3 tiles ids"])
        np.testing.assert_allclose(seen[0], arrays["idefics3 tiles logits"][0], rtol=0, atol=2e-4)
    assert "cannot be decoded by this browser" in refused
