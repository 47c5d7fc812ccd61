"""The engine in a page, from JavaScript: cases on one page, the example, in the order in which they
stand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from javascript import CAPITAL
from page import Page, wait_until
from served import POCKET, TestSite

Run = Callable[..., Any]


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
    sent = run("return told(await failure(chat({ messages, steering: () => 1 })));")
    assert sent["name"] == "TypeError" and "cannot be sent to Python" in sent["message"]
    option = run("return told(await failure(webllm.createEngine({ contextlength: 1 })));")
    assert 'no option "contextlength"' in option["message"]


def test_functions_of_the_page_see_the_logits(run: Run) -> None:
    """And are told of tokens; what they throw is thrown by the request."""
    found = run("""
      const told = [];
      const shout = Object.assign(
        async (logits) => logits.map((logit, token) => logit - (token === told.at(-1) ? 100 : 0)),
        { accept: (token) => told.push(token), reset: () => told.push("begins") },
      );
      const asked = { messages, temperature: 0, max_tokens: 4 };
      const both = [(logits) => logits, shout];
      const { usage } = await chat({ ...asked, n: 2, logits_processors: both });
      const mine = new RangeError("mine");
      const fails = () => { throw mine; };
      const wrong = [
        await failure(chat({ ...asked, logits_processors: fails })),
        await failure(
          Array.fromAsync(await chat({ ...asked, stream: true, logits_processors: fails })),
        ),
        await failure(chat({ ...asked, logits_processors: [() => new Float32Array(3)] })),
        await failure(chat({ ...asked, logits_processors: [5] })),
      ];
      return [told, usage.completion_tokens, wrong.slice(0, 2).map((error) => error === mine),
        wrong.slice(2).map(({ message }) => message)];
    """)
    told, count, mine, messages = found
    assert len(told) == count + 2 == 10 and told[:5] == told[5:] and told[0] == "begins"
    assert all(first != second for first, second in pairwise(told))
    assert mine == [True, True]
    assert messages == [
        "logits_processors[0] returned 3 values; it must return the 2048 logits, a Float32Array.",
        "logits_processors[0] must be a function, not a number.",
    ]


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
    run: Run, site: TestSite
) -> None:
    """What is kept goes to one file, and comes from there. It is a copy of the first one, whose
    kernels are compiled."""
    site.folders["/made/"] = POCKET.parent
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
        f"/made/{POCKET.name}",
    )
    name, model, models, nbytes, kept, wrong, nothing = found
    assert (name, model, models[1:]) == ("second", "second", ["second"])
    assert 0 < nbytes < kept[1] and kept == [True, kept[1], False, True, True]
    assert wrong == ["model_not_found", "AdapterError", "TypeError", "StateError"]
    assert nothing is None


def test_a_worker_that_ended_is_told_of(run: Run) -> None:
    """Nothing else tells a page that the browser ended one, for want of memory say."""
    closed, asked, later = run("""
      const [other, [worker]] = await withWorkers(() => webllm.createEngine({ model: null }));
      const asking = failure(other.load("/nowhere/but/slow.gguf"));
      worker.terminate();
      const errors = [await other.closed, await asking, await failure(other.store.list())];
      return errors.map(told);
    """)
    assert closed["name"] == "EngineClosedError" and "worker of this engine" in closed["message"]
    assert asked == later == closed


def test_an_answer_whose_worker_died_is_finished(run: Run) -> None:
    """By another engine of the page, to the same text."""
    fields = {"seed": 3, "max_tokens": 300, "ignore_eos": True}
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
          if (performance.now() > begun + 1800) other.close(); // it is kept each 0.4 s
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
