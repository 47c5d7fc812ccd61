"""A page's endpoint for programs written for OpenAI's interface, by the service worker: cases on
one page, the example, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from javascript import CAPITAL, run_javascript
from page import Page, wait_until
from served import TestSite

WHOLE = "return globalThis.whole ??= (await chat(tale)).choices[0].message.content;"
Run = Callable[..., Any]


@pytest.fixture
def run(example: Page) -> Run:
    """Run the body of an asynchronous function in JavaScript, in a page whose engine serves; what
    it returns."""
    run_javascript(example, 'globalThis.endpoint ??= await engine.serve("service.js");')
    return partial(run_javascript, example)


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


def test_what_jupyterlite_ai_asks(run: Run) -> None:
    """By the AI SDK's provider for OpenAI-compatible endpoints: texts in parts, tools whose schemas
    name their draft, the result of a call; and what it reads of a stream."""
    found = run("""
      const $schema = "http://json-schema.org/draft-07/schema#";
      const properties = { path: { type: "string", description: "of a notebook" } };
      const parameters = { $schema, type: "object", properties, additionalProperties: false };
      const description = "Open a notebook";
      const named = { name: "open", arguments: '{"path":"a.ipynb"}' };
      const call = { id: "1", type: "function", function: named };
      const asked = {
        model: "any", temperature: 0, max_tokens: 4, stream: true, tool_choice: "auto",
        stream_options: { include_usage: true },
        tools: [{ type: "function", function: { name: "open", description, parameters } }],
        messages: [
          { role: "system", content: "You help." },
          { role: "user", content: [{ type: "text", text: "Open a." }] },
          { role: "assistant", content: "", tool_calls: [call] },
          { role: "tool", tool_call_id: "1", content: '{"success":true}' },
          { role: "user", content: [{ type: "text", text: "And now?" }] },
        ],
      };
      const headers = { authorization: "Bearer none", "content-type": "application/json" };
      const reply = await fetch(`${endpoint.baseURL}/chat/completions`,
        { method: "POST", headers, body: JSON.stringify(asked) });
      const events = (await reply.text()).split("\\n\\n").filter((event) => event);
      const data = events.map((event) => /^data: (.*)$/m.exec(event)[1]);
      return [reply.status, data.pop(), ...data.map((text) => JSON.parse(text))];
    """)
    status, done, *chunks = found
    assert (status, done) == (200, "[DONE]"), found
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    ends = [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]]
    assert ends[-1] == "length" and not any(ends[:-1])
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 4


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
    wait_until(lambda: run("return cut.text.length > 600;"), 60, "the stream has begun")
    example.cdp("ServiceWorker.stopAllWorkers")
    wait_until(lambda: run("return cut.error;"), 60, "the fetch fails")
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
