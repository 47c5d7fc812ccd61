"""The engine in a page, from JavaScript: cases on one page, the example, in the order in which they
stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from javascript import CAPITAL, run_javascript
from page import Page, wait_until
from served import TestSite

from webllm_py.fetch.prebuilt import prebuilt_models
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

Run = Callable[..., Any]


@pytest.fixture
def run(example: Page) -> Run:
    """Run the body of an asynchronous function in JavaScript; what it returns."""
    return partial(run_javascript, example)


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
    run("await engine.load();")


def test_a_model_beside_the_first_that_is_kept_leaves_and_comes_back(
    run: Run, long_model: str
) -> None:
    """What is kept goes to one file, and comes from there."""
    found = run(
        """
      const seen = [];
      const { name } = await engine.addModel(given, {
        name: "second", contextLength: 64, tune: false, fetch: { store: "indexeddb" },
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
      const store = engine.storeIn("indexeddb");
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


def test_webllm_s_names(run: Run, long_model: str) -> None:
    """What a page that was written for WebLLM calls, and what it finds."""
    found = run(
        """
      const mlc = await import("/pyodide/web_llm.js");
      const overrides = { context_window_size: 128 };
      const model_list = [{ model_id: "pocket", overrides }, { model_id: "long", model: given }];
      const appConfig = { model_list, cacheBackend: "indexeddb" };
      const kept = [await mlc.hasModelInCache("long", appConfig)];
      const reports = [];
      const initProgressCallback = (report) => reports.push(report);
      const window = { context_window_size: -1, sliding_window_size: 96, attention_sink_size: 0 };
      const chatOpts = [{}, { ...window, temperature: 0 }];
      const engine = await mlc.CreateMLCEngine(
        ["pocket", "long"], { appConfig, initProgressCallback }, chatOpts,
      );
      kept.push(await mlc.hasModelInCache("long", appConfig));
      const fields = { prompt: "a", max_tokens: 100, ignore_eos: true, model: "long" };
      const reply = await engine.completions.create(fields);
      const texts = [reply.choices[0].text, ""];
      const stream = await engine.completion({ ...fields, stream: true });
      for await (const { choices } of stream) texts[1] += choices[0].text;
      const stats = await engine.runtimeStatsText("long");
      texts.push(await engine.getMessage("long"));
      await engine.resetChat(false, "long");
      const forgotten = [await engine.getMessage("long"), await engine.runtimeStatsText("long")];
      const asked = { model: "pocket", messages, temperature: 0, stream: true };
      const counted = { ...asked, stream_options: { include_usage: true } };
      const usage = [];
      for await (const chunk of await engine.chatCompletion(counted)) {
        if (!chunk.choices.length) usage.push([chunk.model, chunk.usage]);
      }
      texts.push(await engine.getMessage("pocket"));
      let finish;
      const endless = { ...asked, messages: story, ignore_eos: true };
      for await (const { choices } of await engine.chatCompletion(endless)) {
        await engine.interruptGenerate();
        finish = choices[0].finish_reason;
      }
      const device = [
        typeof (await engine.getGPUVendor("long")),
        await engine.getMaxStorageBufferBindingSize(),
      ];
      const wrong = [
        await failure(engine.chatCompletion({ messages })),
        await failure(engine.chatCompletion({ messages, model: "one" })),
        await failure(engine.reload("one")),
        await failure(engine.reload(["long", "long"])),
        await failure(engine.reload("long", [{}, {}])),
        await failure(engine.reload("long", { conv_template: {} })),
        await failure(engine.reload("pocket", { sliding_window_size: 96 })),
        await failure(mlc.deleteModelAllInfoInCache("long", appConfig)),
      ];
      const ending = failure(engine.reload("long"));
      await engine.unload();
      wrong.push(await ending, await failure(engine.chatCompletion(asked)));
      const ids = mlc.prebuiltAppConfig.model_list.map(({ model_id }) => model_id);
      const names = wrong.map(({ name }) => name);
      const [model, tokens] = [reply.model, reply.usage.completion_tokens];
      return { texts, stats, forgotten, model, tokens, usage, finish, names, kept, device, ids,
        last: reports.at(-1) };
    """,
        long_model,
    )
    whole, streamed, message, answer = found["texts"]
    assert whole == streamed == message and found["tokens"] == 100 and answer == CAPITAL
    assert found["stats"].startswith("prefill: ") and found["stats"].endswith(" tokens/sec")
    assert found["forgotten"] == ["", "prefill: 0.0000 tokens/sec, decoding: 0.0000 tokens/sec"]
    [[model, usage]] = found["usage"]
    assert (model, found["model"], found["finish"]) == ("pocket", "long", "abort")
    assert usage["extra"]["decode_tokens_per_s"] > 0
    assert found["names"] == [
        "UnclearModelToUseError", "SpecifiedModelNotFoundError", "ModelNotFoundError",
        "ReloadModelIdNotUniqueError", "ReloadArgumentSizeUnmatchedError",
        "UnsupportedFieldsError", "WindowSizeConfigurationError", "SourceError", "AbortError",
        "EngineNotLoadedError",
    ]  # fmt: skip
    assert found["kept"] == [False, True]
    assert found["device"][0] == "string" and found["device"][1] > 0
    assert found["last"]["progress"] > 0 and found["last"]["text"]
    assert found["ids"] == [*prebuilt_models()]


def test_an_answer_whose_worker_died_is_finished(run: Run) -> None:
    """By another engine of the page, to the same text."""
    fields = {"seed": 3, "max_tokens": 100, "ignore_eos": True}
    fields["no_repeat_ngram_size"] = 3  # a step waits for the one before: there is time to be kept
    asks = "const asked = { messages: story, ...given };"
    whole = run(f"{asks} return (await chat(asked)).choices[0].message.content;", fields)
    cut, name = run(
        f"""
      {asks}
      const other = await webllm.createEngine();
      const kept = {{ ...asked, stream: true, resumable: "fox" }};
      const stream = await other.chat.completions.create(kept);
      const cut = await failure((async () => {{
        let begun = null;
        for await (const chunk of stream) {{
          begun ??= performance.now();
          if (performance.now() > begun + 900) other.close(); // it is kept each 0.4 s
        }}
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
