"""The engine in a page, from JavaScript, and its endpoint for programs written for OpenAI's
interface: cases on one page, the example, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page import Page, wait_until
from served import TestSite

from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

CAPITAL = "The capital of Japan is Tokyo."
MODULE = """
    const done = arguments[arguments.length - 1];
    const given = arguments[0];
    const messages = [{ role: "user", content: "What is the capital of Japan?" }];
    const story = [{ role: "user", content: "Tell me a short story about a fox." }];
    const tale = { messages: story, temperature: 0, max_tokens: 60 };
    const chat = (fields, options) => engine.chat.completions.create(fields, options);
    const post = (fields, { signal } = {}) =>
      fetch("/v1/chat/completions", { method: "POST", body: JSON.stringify(fields), signal });
    const failure = async (promise) => {
      try { await promise; } catch (error) { return error; }
      throw new Error("nothing failed");
    };
    const told = (error) => ({ name: error.name, message: error.message, ...error });
    const answering = async () => {
      const text = await (await fetch("/v1/metrics")).text();
      return Number(/^webllm_py_requests_processing (\\d+)/m.exec(text)[1]);
    };
    const until = async (condition) => {
      for (const end = performance.now() + 60_000; !(await condition()); ) {
        if (performance.now() > end) throw new Error(`waited in vain: ${condition}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    (async () => {
      const webllm = await import("/pyodide/webllm_py.js");
"""
WHOLE = "return globalThis.whole ??= (await chat(tale)).choices[0].message.content;"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def example(tab: Page, site: TestSite) -> Iterator[Page]:
    """The example, with the pocket model loaded."""
    tab.resize((900, 300))
    tab.driver.get(f"{site.url}examples/javascript.html")
    tab.cdp("ServiceWorker.enable")
    wait_until(tab.one("#ask").is_enabled, 200, "the model is loaded")
    yield tab
    tab.driver.get("about:blank")
    tab.complaints()  # the browser tells of every status that is an error


@pytest.fixture
def run(example: Page) -> Run:
    """Run the body of an asynchronous function in JavaScript; what it returns."""

    def run(code: str, given: Any = None) -> Any:
        end = "})().then((value) => done({ value }), (error) => done({ error: `${error.stack}` }));"
        result = example.driver.execute_async_script(f"{MODULE}{code}{end}", given)
        assert "error" not in result, result["error"]
        return result["value"]

    return run


def test_the_example_answers(example: Page) -> None:
    assert example.text("#answer") == "Ready"
    example.one("#ask").click()
    wait_until(lambda: example.text("#answer") == CAPITAL, 60, "an answer is complete")
    example.screenshot("javascript-example")


def test_openai_s_shapes(run: Run) -> None:
    reply = run("return chat({ messages, temperature: 0 });")
    assert reply["choices"][0]["message"]["content"] == CAPITAL
    assert reply["object"] == "chat.completion" and reply["usage"]["completion_tokens"] > 5
    chunks = run("return Array.fromAsync(await chat({ messages, temperature: 0, stream: true }));")
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == CAPITAL
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    text = run("return engine.completions.create({ prompt: 'The capital of', max_tokens: 3 });")
    assert text["object"] == "text_completion" and text["choices"][0]["text"]


def test_errors_keep_their_class_and_their_fields(run: Run) -> None:
    found = run("""
      const error = await failure(chat({ messages, temperatur: 1 }));
      const { RequestError, WebLLMError, SourceError } = webllm;
      const kinds = [RequestError, WebLLMError, SourceError, Error];
      return { ...told(error), kinds: kinds.map((kind) => error instanceof kind) };
    """)
    assert found["kinds"] == [True, True, False, True]
    assert found["message"] == "Unknown field 'temperatur'. Did you mean 'temperature'?"
    assert (found["name"], found["param"], found["code"], found["type"]) == (
        "RequestError", "temperatur", "unknown_parameter", "invalid_request_error",
    )  # fmt: skip
    long = run("return told(await failure(chat({ messages: [{ role: 'user', content:"
               " 'a b c '.repeat(3000) }], stream: true })));")  # fmt: skip
    assert (long["name"], long["code"]) == ("ContextLengthError", "context_length_exceeded")
    embed = run("return told(await failure(engine.embeddings.create({ input: 'x' })));")
    assert embed["code"] == "model_not_supported"
    sent = run("return told(await failure(chat({ messages, logits_processors: [() => 1] })));")
    assert sent["name"] == "TypeError" and "cannot be sent to Python" in sent["message"]
    option = run("return told(await failure(webllm.createEngine({ contextlength: 1 })));")
    assert 'no option "contextlength"' in option["message"]


def test_an_answer_ends_by_its_signal_by_leaving_it_and_by_interrupt(run: Run) -> None:
    ended = run("""
      const endless = { messages: story, stream: true, ignore_eos: true, max_tokens: 1000 };
      const abort = new AbortController();
      const reason = new Error("enough");
      const seen = [];
      const aborted = await failure((async () => {
        for await (const chunk of await chat(endless, abort)) {
          if (seen.push(chunk) === 3) abort.abort(reason);
        }
      })());
      for await (const chunk of await chat(endless)) if (seen.push(chunk) > 8) break;
      const early = new AbortController();
      setTimeout(() => early.abort(), 20);
      const unheard = await failure(chat({ ...endless, stream: false }, early));
      let finish;
      for await (const { choices } of await chat(endless)) {
        if (seen.push(choices) === 12) engine.interrupt();
        finish = choices[0].finish_reason;
      }
      return [aborted === reason, unheard.name, finish, seen.length < 100];
    """)
    assert ended == [True, "AbortError", "abort", True]
    assert run("return (await chat({ messages, temperature: 0 })).choices[0].message.content;") == (
        CAPITAL
    )


def test_a_page_s_fetch_is_answered_as_openai_does(run: Run) -> None:
    base = run("""
      globalThis.endpoint = await engine.serve("service.js");
      return endpoint.baseURL;
    """)
    assert base.endswith("/examples/v1")
    models = run("return (await fetch('/v1/models')).json();")
    assert [model["id"] for model in models["data"]] == ["Pocket"]
    status, type, reply = run("""
      const reply = await post({ messages, temperature: 0 });
      return [reply.status, reply.headers.get("content-type"), await reply.json()];
    """)
    assert (status, type) == (200, "application/json")
    assert reply["choices"][0]["message"]["content"] == CAPITAL
    wrong = run("""
      const reply = await post({ messages, temperature: 9 });
      return [reply.status, (await reply.json()).error];
    """)
    assert wrong[0] == 400 and wrong[1]["param"] == "temperature"
    other = run("return [(await fetch('javascript.html')).status, (await fetch('v1/no')).status];")
    assert other == [200, 404]  # the site's own, and the service's


def test_openai_s_client_runs_against_the_tab(run: Run) -> None:
    found = run("""
      const { default: OpenAI, BadRequestError } = await import("/openai/index.mjs");
      const { baseURL } = endpoint;
      const client = new OpenAI({ baseURL, apiKey: "none", dangerouslyAllowBrowser: true });
      const request = { model: "any", messages, temperature: 0 };
      const streaming = { ...request, stream: true };
      const whole = await client.chat.completions.create(request);
      let streamed = "";
      for await (const chunk of await client.chat.completions.create(streaming)) {
        streamed += chunk.choices[0].delta.content ?? "";
      }
      const error = await failure(client.chat.completions.create({ ...request, temperature: 9 }));
      const models = [];
      for await (const { id } of client.models.list()) models.push(id);
      const endless = { ...streaming, messages: story, ignore_eos: true };
      for await (const chunk of await client.chat.completions.create(endless)) break;
      await until(async () => (await answering()) === 0);
      return [whole.choices[0].message.content, streamed, error instanceof BadRequestError,
        error.param, models];
    """)
    assert found == [CAPITAL, CAPITAL, True, "temperature", ["Pocket"]]


def test_an_aborted_fetch_ends_its_answer(run: Run) -> None:
    """Before its reply began, and after; Chromium tells the service worker when it has begun."""
    ended = run("""
      const endless = { messages: story, ignore_eos: true, max_tokens: 1000, stream: true };
      const names = [];
      for (const wait of [5, 1000]) {
        const abort = new AbortController();
        setTimeout(() => abort.abort(), wait);
        names.push((await failure(post(endless, abort).then((reply) => reply.text()))).name);
        await until(async () => (await answering()) === 0);
      }
      return names;
    """)
    assert ended == ["AbortError", "AbortError"]


def test_an_aborted_fetch_ends_its_answer_before_its_reply(run: Run) -> None:
    """Chromium tells the service worker nothing; ``resumingFetch`` does."""
    found = run("""
      const endless = { messages: story, ignore_eos: true, max_tokens: 1900 };
      const abort = new AbortController();
      const fetch = webllm.resumingFetch();
      const asked = { method: "POST", body: JSON.stringify(endless), signal: abort.signal };
      const reply = failure(fetch("/v1/chat/completions", asked));
      await until(async () => (await answering()) === 1);
      abort.abort();
      const { name } = await reply;
      await until(async () => (await answering()) === 0);
      const gone = await globalThis.fetch("/v1/requests/unknown", { method: "DELETE" });
      return [name, gone.status];
    """)
    assert found == ["AbortError", 404]


def test_a_reader_that_takes_nothing_holds_up_nobody(run: Run) -> None:
    """Its answer goes on to its end in Python, and others are answered before it is read."""
    events, other = run("""
      const fields = { messages: story, ignore_eos: true, max_tokens: 120, stream: true };
      const slow = await post(fields);
      await until(async () => (await answering()) === 0);
      const other = await (await post({ messages, temperature: 0 })).json();
      const text = await slow.text();
      return [text.match(/^data: /gm).length, other.choices[0].message.content];
    """)
    assert other == CAPITAL and events > 100


def test_a_stream_outlives_the_service_worker(example: Page, run: Run) -> None:
    """The fetch fails in the middle; the answer goes on, and all of it can be had."""
    whole = run(WHOLE)
    run("""
      const reply = await post({ ...tale, stream: true });
      globalThis.cut = { id: reply.headers.get("x-stream-id"), text: "", error: null };
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      (async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          cut.text += value;
        }
      })().catch((error) => (cut.error = error.name));
    """)
    wait_until(lambda: run("return cut.text.length > 600;"), 30, "the stream has begun")
    example.cdp("ServiceWorker.stopAllWorkers")
    wait_until(lambda: run("return cut.error;"), 10, "the fetch fails")
    joined = run("""
      const last = [...cut.text.matchAll(/^id: (.*)$/gm)].at(-1)[1];
      const head = cut.text.slice(0, cut.text.lastIndexOf("\\n\\n") + 2);
      const rest = await fetch(`/v1/streams/${cut.id}`, { headers: { "Last-Event-ID": last } });
      const text = head + (await rest.text());
      const data = [...text.matchAll(/^data: (\\{.*)$/gm)].map(([, json]) => JSON.parse(json));
      return data.map(({ choices }) => choices[0].delta.content ?? "").join("");
    """)
    assert joined == whole


def test_openai_s_client_does_not_notice_with_a_fetch_that_resumes(example: Page, run: Run) -> None:
    run("""
      const { default: OpenAI } = await import("/openai/index.mjs");
      const { baseURL } = endpoint;
      const fetch = webllm.resumingFetch();
      const client = new OpenAI({ baseURL, apiKey: "none", dangerouslyAllowBrowser: true, fetch });
      const request = { ...tale, model: "any", stream: true };
      globalThis.resumed = { text: "", end: null };
      (async () => {
        for await (const chunk of await client.chat.completions.create(request)) {
          resumed.text += chunk.choices[0].delta.content ?? "";
        }
      })().then(() => (resumed.end = "whole"), (error) => (resumed.end = error.message));
    """)
    for length in (10, 60):
        wait_until(
            lambda length=length: run("return resumed.text.length > given;", length),  # type: ignore[misc]
            30,
            "the stream goes on",
        )
        example.cdp("ServiceWorker.stopAllWorkers")
    wait_until(lambda: run("return resumed.end;"), 60, "the stream ends")
    assert run("return resumed.end;") == "whole"
    assert run("return resumed.text;") == run(WHOLE)


@pytest.fixture
def long_model(tmp_path: Path, site: TestSite) -> Iterator[str]:
    """The address of a random model with a context of 4,096 tokens, a token a byte."""
    sizes = {"layers": 1, "hidden": 64, "ffn": 64, "heads": 2, "kv_heads": 1}
    write_random_model(tmp_path / "long.gguf", "long", replace(SHAPES["tiny"], **sizes), "q8_0")
    site.folders["/made/"] = tmp_path
    yield "/made/long.gguf"
    del site.folders["/made/"]


def test_the_page_stays_responsive_while_4000_tokens_are_read(
    run: Run, long_model: str, long: bool
) -> None:
    if not long:
        pytest.skip("with --long")
    info = run("return engine.load(given, { fetch: { keep: false } });", long_model)
    assert info["context_length"] == 4096
    usage, tasks, own = run("""
      const tasks = [];
      const watch = new PerformanceObserver((list) =>
        tasks.push(...list.getEntries().map(({ duration }) => duration)));
      watch.observe({ type: "longtask" });
      const prompt = "a word ".repeat(600).slice(0, 4000);
      const { usage } = await engine.completions.create({ prompt, max_tokens: 1 });
      await new Promise((resolve) => setTimeout(resolve, 50));
      const during = tasks.splice(0);
      await new Promise((resolve) => setTimeout(() => {
        for (const end = performance.now() + 70; performance.now() < end; );
        setTimeout(resolve, 100);
      }));
      watch.disconnect();
      return [usage, during, tasks];
    """)
    assert usage["prompt_tokens"] == 4000
    assert len(own) == 1, "the browser tells of a task that takes 70 ms"
    assert tasks == []


def test_a_model_beside_the_first_that_is_kept_leaves_and_comes_back(
    run: Run, long_model: str
) -> None:
    """What is kept goes to one file, and comes from there."""
    found = run(
        """
      const seen = [];
      const { name } = await engine.addModel(given, {
        name: "second", contextLength: 64, tune: false,
        onProgress: ({ files }) => seen.push(files),
      });
      const asked = { model: name, prompt: "a", max_tokens: 2 };
      const { model } = await engine.completions.create(asked);
      const models = await engine.models();
      const wrong = [
        await failure(engine.completions.create({ model: "third", prompt: "a" })),
        await failure(engine.loadAdapter(given)),
        await failure(engine.addModel(given, { device: "low-power" })),
        await failure(engine.resume("nothing")),
      ];
      await engine.removeModel(name);
      const root = await navigator.storage.getDirectory();
      const file = await root.getFileHandle("model.tar", { create: true });
      const { store } = engine;
      const kept = [await store.has(given), await store.size(given)];
      await store.exportTo(given, file);
      await store.delete(given);
      const deleted = await store.has(given);
      const back = await store.importFrom(file);
      kept.push(deleted, await store.has(back), (await file.getFile()).size > kept[1]);
      await store.delete(back);
      return [name, model, Object.keys(models), Object.values(seen.at(-1))[0], kept,
        wrong.map(({ name, code }) => code ?? name), await engine.resume()];
    """,
        long_model,
    )
    name, model, models, nbytes, kept, wrong, nothing = found
    assert (name, model, models[1:]) == ("second", "second", ["second"])
    assert 0 < nbytes < kept[1] and kept == [True, kept[1], False, True, True]
    assert wrong == ["model_not_found", "AdapterError", "TypeError", "StateError"]
    assert nothing is None


def test_an_answer_whose_worker_died_is_finished(run: Run) -> None:
    fields = {"temperature": 0.8, "seed": 3, "max_tokens": 120, "ignore_eos": True}
    asks = "const asked = { messages: story, ...given };"
    whole = run(f"{asks} return (await chat(asked)).choices[0].message.content;", fields)
    run("globalThis.other = await webllm.createEngine();")
    fields |= {"stream": True, "resumable": "fox"}
    cut, name = run(
        f"""
      {asks}
      const kept = async () => {{ // the names of what is
        let folder = await navigator.storage.getDirectory();
        for (const name of ["webllm_py models", "answers"]) {{
          folder = await folder.getDirectoryHandle(name);
        }}
        return Array.fromAsync(folder.keys());
      }};
      const isKept = async () => /[01]%20fox/.test(await kept().catch(() => ""));
      const stream = await other.chat.completions.create(asked);
      const cut = await failure((async () => {{
        for await (const chunk of stream) if (await isKept()) other.close();
      }})());
      await until(async () => (await engine.unfinished()).length);
      return [cut.name, (await engine.unfinished())[0].name];
    """,
        fields,
    )
    assert (cut, name) == ("EngineClosedError", "fox")
    resumed, left = run("""
      const chunks = await Array.fromAsync(await engine.resume("fox"));
      const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
      return [text, await engine.unfinished()];
    """)
    assert len(whole) > 200 and resumed == whole and left == []


def test_without_a_tab_that_answers_there_is_a_named_error(
    example: Page, site: TestSite, run: Run
) -> None:
    cut = run("""
      const endless = { messages: story, ignore_eos: true, max_tokens: 500, stream: true };
      const reply = await post(endless);
      setTimeout(() => engine.close(), 100);
      const closed = await failure(reply.text());
      const asked = await failure(chat({ messages }));
      return [closed.name, asked instanceof webllm.EngineClosedError];
    """)
    assert cut == [
        "TypeError",
        True,
    ]  # of a stream that breaks off, and of an engine that is closed
    asks = """
      const reply = await post({ messages });
      return [reply.status, reply.headers.get("retry-after"), (await reply.json()).error];
    """
    here = run(asks)
    example.driver.get(f"{site.url}examples/service.js")  # a page that never had an engine
    for status, retry, error in (here, run(asks)):
        assert (status, retry, error["code"]) == (503, "1", "no_engine")
        assert "No tab of this site" in error["message"]
        assert set(error) == {"message", "type", "param", "code"}
