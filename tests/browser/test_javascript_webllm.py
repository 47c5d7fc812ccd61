"""What a page that was written for WebLLM calls, and what it finds: cases on one page, with one
engine, in the order in which they stand."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page import Page
from served import TestSite

from webllm_py.fetch.prebuilt import prebuilt_models

Run = Callable[..., Any]
# A worker's script, whose processor says "H" and then whatever it likes.
WORKER = b"""
import { WebWorkerMLCEngineHandler } from "/pyodide/web_llm.js";
let said = [];
const processor = {
  processLogits: (logits) => said.length ? logits : logits.fill(-1e9).fill(0, 72, 73),
  processSampledToken: (token) => said.push(token),
  resetState: () => { postMessage(said); said = []; },
};
const handler = new WebWorkerMLCEngineHandler();
handler.setLogitProcessorRegistry(new Map([["worked", processor]]));
onmessage = (message) => handler.onmessage(message);
"""


@pytest.fixture(scope="module")
def with_engine(example: Page, site: TestSite, long_model: str) -> Iterator[Page]:
    """The example's, with an engine: one costs a start of Python, and kernels to compile."""
    site.overlay["/webllm_worker.js"] = WORKER
    code = """
      const [made, done] = arguments;
      const begin = async () => {
        const mlc = await import("/pyodide/web_llm.js");
        const overrides = { context_window_size: 128 };
        const model_list = [
          { model_id: "short", model: made, overrides },
          { model_id: "long", model: made },
          { model_id: "worked", model: made },
          { model_id: "elsewhere", model: "/nowhere/model", model_lib: "/nowhere/model.wasm" },
        ];
        const appConfig = { model_list, cacheBackend: "indexeddb" };
        const worker = new Worker("/webllm_worker.js", { type: "module" });
        const kept = [await mlc.hasModelInCache("long", appConfig)];
        const reports = [];
        const config = { appConfig, initProgressCallback: (report) => reports.push(report) };
        const window = { context_window_size: -1, sliding_window_size: 64, attention_sink_size: 0 };
        const engine = await mlc.CreateWebWorkerMLCEngine(
          worker, ["short", "long"], config, [{}, { ...window, temperature: 0 }],
        );
        kept.push(await mlc.hasModelInCache("long", appConfig));
        Object.assign(globalThis, { mlc, mlcEngine: engine, appConfig, kept, reports });
      };
      begin().then(() => done(), (error) => done(`${error.stack}`));
    """
    example.driver.set_script_timeout(200)  # kernels are compiled
    assert example.driver.execute_async_script(code, long_model) is None
    yield example
    example.driver.set_script_timeout(60)


@pytest.fixture
def webllm(with_engine: Page, run: Run) -> Run:
    """Run the body of an asynchronous function whose ``engine`` is WebLLM's."""
    return lambda code, given=None: run(f"const engine = mlcEngine;{code}", given)


def test_answers(webllm: Run) -> None:
    found = webllm("""
      const fields = { prompt: "a", max_tokens: 70, ignore_eos: true, model: "long" };
      const reply = await engine.completions.create(fields);
      const texts = [reply.choices[0].text, ""];
      const stream = await engine.completion({ ...fields, stream: true });
      for await (const { choices } of stream) texts[1] += choices[0].text;
      const stats = await engine.runtimeStatsText("long");
      texts.push(await engine.getMessage("long"));
      await engine.resetChat(false, "long");
      const forgotten = [await engine.getMessage("long"), await engine.runtimeStatsText("long")];
      const asked = { model: "short", messages, temperature: 0, max_tokens: 20, stream: true };
      const counted = {
        ...asked,
        stream_options: { include_usage: true },
        extra_body: { enable_thinking: false, enable_latency_breakdown: true },
      };
      const usage = [];
      texts.push("");
      for await (const chunk of await engine.chatCompletion(counted)) {
        texts[3] += chunk.choices[0]?.delta.content ?? "";
        if (!chunk.choices.length) usage.push([chunk.model, chunk.usage]);
      }
      texts.push(await engine.getMessage("short"));
      let finish;
      const endless = { ...asked, max_tokens: 60, ignore_eos: true };
      for await (const { choices } of await engine.chatCompletion(endless)) {
        await engine.interruptGenerate();
        finish = choices[0].finish_reason;
      }
      const [model, tokens] = [reply.model, reply.usage.completion_tokens];
      const device = [await engine.getGPUVendor(), await engine.getMaxStorageBufferBindingSize()];
      const ids = mlc.prebuiltAppConfig.model_list.map(({ model_id }) => model_id);
      const { extra } = reply.usage;
      return { texts, stats, forgotten, model, tokens, usage, extra, finish, kept, device, ids,
        last: reports.at(-1), progress: reports.map(({ progress }) => progress) };
    """)
    whole, streamed, message, shown, answer = found["texts"]
    assert whole == streamed == message and found["tokens"] == 70 and answer == shown
    assert found["stats"].startswith("prefill: ") and found["stats"].endswith(" tokens/sec")
    assert found["forgotten"] == ["", "prefill: 0.0000 tokens/sec, decoding: 0.0000 tokens/sec"]
    [[model, usage]] = found["usage"]
    assert (model, found["model"], found["finish"]) == ("short", "long", "abort")
    breakdown = usage["extra"].pop("latencyBreakdown")
    assert len(breakdown["totalTime"]) == usage["completion_tokens"]
    assert found["extra"].keys() == usage["extra"].keys() == {
        "prefill_tokens_per_s", "decode_tokens_per_s", "time_to_first_token_s",
        "time_per_output_token_s", "e2e_latency_s",
    }  # fmt: skip
    assert all(number > 0 for number in found["extra"].values())
    assert found["kept"] == [False, True]
    assert isinstance(found["device"][0], str) and found["device"][1] > 0
    progress = found["progress"]
    assert progress == sorted(progress) and progress[-2] < progress[-1] == 1
    assert found["last"]["text"].startswith("Finish loading on WebGPU - ")
    assert found["ids"] == [*prebuilt_models()]


@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_that_was_cut_off_is_resumed(webllm: Run, streams: bool) -> None:
    """By another engine than the one whose worker died, to the same text."""
    code = """
      const window = { context_window_size: -1, sliding_window_size: 64, attention_sink_size: 0 };
      const config = { appConfig };
      const make = () => mlc.CreateMLCEngine("long", config, { ...window, temperature: 0 });
      const [other, workers] = await withWorkers(make);
      const fields = { messages, ignore_eos: true, max_tokens: 1500, no_repeat_ngram_size: 9 };
      const whole = (await other.chat.completions.create(fields)).choices[0].message.content;
      const resumable = { enabled: true, sessionId: "hare", durabilityMode: "exact" };
      const kept = { ...fields, stream: true, extra_body: { enable_thinking: false, resumable } };
      const stream = await other.chat.completions.create(kept);
      await stream.next();
      (async () => { for await (const _ of stream); })().catch(() => {});
      const under = await failure(engine.resumeChatCompletion("hare"));
      await new Promise((done) => setTimeout(done, 1000)); // it is kept each 0.4 s
      workers.forEach((worker) => worker.terminate());
      await other.unload();
      await until(async () => (await engine.listResumableSessions()).length);
      const [session] = await engine.listResumableSessions();
      const { recoveredText, recoveryMode } = await engine.resumeChatCompletion("hare");
      const options = { continueGeneration: true, stream: given };
      const resumed = await engine.resumeChatCompletion("hare", options);
      let said = resumed.recoveredText ?? recoveredText;
      if (given) for await (const { choices } of resumed) said += choices[0]?.delta.content ?? "";
      const message = await engine.getMessage("long");
      const gone = await failure(engine.resumeChatCompletion("hare"));
      await engine.deleteResumableSession("hare");
      return { texts: [whole, said, message], session, recoveredText, recoveryMode,
        under: under.name, gone: [gone.name, gone.message],
        left: await engine.listResumableSessions() };
    """
    found = webllm(code, streams)
    recovered, session = found["recoveredText"], found["session"]
    whole, *others = found["texts"]
    assert others == [whole, whole]
    assert 10 < len(recovered) < len(whole) and whole.startswith(recovered)
    assert (session["sessionId"], session["model"]) == ("hare", "long") and session["tokens"] > 10
    assert found["recoveryMode"] == "token_replay"
    assert found["under"] == "StateError"
    assert found["gone"][0] == "StateError" and "no answer 'hare'" in found["gone"][1]
    assert found["left"] == []


def test_a_worker_that_ended(webllm: Run) -> None:
    """Calls under way and later ones fail; another load, and what is kept, need it no more."""
    found = webllm("""
      const make = () => mlc.CreateMLCEngine("short", { appConfig });
      const [other, workers] = await withWorkers(make);
      const fields = { messages, ignore_eos: true, max_tokens: 60, stream: true };
      const stream = await other.chatCompletion(fields);
      await stream.next();
      workers.forEach((worker) => worker.terminate());
      const under = await failure((async () => { for await (const _ of stream); })());
      const later = await failure(other.chatCompletion({ messages }));
      const resumable = await failure(other.listResumableSessions());
      const kept = await mlc.hasModelInCache("long", appConfig);
      await other.reload("short");
      const reply = await other.chatCompletion({ messages, max_tokens: 3 });
      await other.unload();
      const errors = [under, later, resumable].map(({ name, message }) => [name, message]);
      return [errors, kept, reply.usage.completion_tokens > 0];
    """)
    errors, kept, answered = found
    assert [name for name, _ in errors] == ["EngineClosedError"] * 3
    assert all("worker of this engine ended" in message for _, message in errors)
    assert kept and answered


@pytest.mark.parametrize("ids", ["elsewhere", ["short", "elsewhere"]])
def test_a_reload_that_fails_leaves_no_model(webllm: Run, ids: Any) -> None:
    """Not even in the worker's memory. One that begins anew needs no new worker."""
    found = webllm(
        """
      const make = () => mlc.CreateMLCEngine("short", { appConfig });
      const [other, [worker]] = await withWorkers(make);
      const loaded = () => new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(JSON.parse(data));
        worker.postMessage({ type: "job", request: { kind: "info" } }, [port2]);
      });
      const { end } = await loaded();
      await failure(other.reload("one"));
      const stays = await other.getMessage(); // only its arguments were wrong
      const names = [(await failure(other.reload(given))).name];
      names.push((await loaded()).error.names[0], (await failure(other.getMessage())).name);
      await mlc.deleteModelAllInfoInCache("short", appConfig);
      const [, further] = await withWorkers(() => other.reload("short"));
      const reply = await other.chatCompletion({ messages, max_tokens: 3 });
      await other.unload();
      return [end.gpu_memory > 0, stays, names, further.length, reply.usage.completion_tokens > 0];
    """,
        ids,
    )
    names = ["MissingFileError", "EngineClosedError", "ModelNotLoadedError"]
    assert found == [True, "", names, 0, True]


def test_text_completions_and_forms(webllm: Run) -> None:
    """As WebLLM has them: no end after 16 tokens, log-probabilities as in a chat."""
    found = webllm("""
      const asked = { model: "short", temperature: 0 };
      const scored = { max_tokens: 3, echo: true, logprobs: true, top_logprobs: 2 };
      const fields = { prompt: "The capital of", ...scored };
      const echoed = await engine.completions.create({ ...asked, ...fields });
      const endless = { ...asked, prompt: "a", stream: true, ignore_eos: true };
      let text = ""; // a token gives a character at most
      for await (const { choices } of await engine.completions.create(endless)) {
        if ((text += choices[0].text).length > 20) break;
      }
      const response_format = { type: "json_object", schema: '{"enum": ["yes", "no"]}' };
      const one = { model: "long", temperature: 1, response_format };
      const json = await engine.chat.completions.create({ ...one, messages });
      return [echoed.choices, text.length, json.choices[0].message.content, json.usage.extra];
    """)
    choices, length, json, extra = found
    assert choices[0]["text"].startswith("The capital of")
    content = choices[0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == choices[0]["text"][14:]
    assert [len(entry["top_logprobs"]) for entry in content] == [2, 2, 2]
    assert content[0]["bytes"] == [*content[0]["token"].encode()]
    assert length > 20 and json in ('"yes"', '"no"')
    assert {"grammar_init_s", "grammar_per_token_s"} < extra.keys()


def test_errors_have_webllm_s_names(webllm: Run, site: TestSite) -> None:
    data = (site.folders["/made/"] / "long.gguf").read_bytes()
    digest = f"sha256-{base64.b64encode(hashlib.sha256(data).digest()).decode()}"
    found = webllm(
        """
      const names = [];
      const fails = async (promise) => names.push((await failure(promise)).name);
      await fails(engine.chatCompletion({ messages }));
      await fails(engine.chatCompletion({ messages, model: "one" }));
      const long = [{ role: "user", content: "a b c ".repeat(30) }];
      await fails(engine.chatCompletion({ messages: long, model: "short" }));
      await fails(engine.embeddings.create({ input: "a", model: "short" }));
      await fails(engine.reload("one"));
      await fails(engine.reload(["long", "long"]));
      await fails(engine.reload("long", [{}, {}]));
      await fails(engine.reload("long", { vocab_size: 5 }));
      await fails(engine.reload("long", { conv_template: "chatml" }));
      await fails(engine.reload("short", { sliding_window_size: 96 }));
      await engine.resetChat(false, "nobody");
      const [record] = appConfig.model_list.filter(({ model_id }) => model_id === "long");
      const check = async (integrity) => {
        record.integrity = integrity;
        try { await engine.reload("long"); } finally { delete record.integrity; }
      };
      const wrong = `sha256-${btoa("x".repeat(32))}`;
      await fails(check({ params: { "long.gguf": "md5-x" } }));
      await fails(check({ weights: {} }));
      const error = await failure(check({ params: { "long.gguf": wrong } }));
      const { url, expected, actual } = error;
      const integrity = [error instanceof mlc.IntegrityError, url, expected === wrong, actual];
      await check({ params: { "long.gguf": wrong }, onFailure: "warn" });
      await check({ params: { "long.gguf": given }, model_lib: wrong });
      const bytes = await (await fetch(record.model)).arrayBuffer();
      await mlc.verifyIntegrity(bytes, given, "a file");
      await fails(mlc.verifyIntegrity(bytes, wrong, "a file"));
      const elsewhere = (await failure(engine.reload("elsewhere"))).message;
      const valid = [given, "md5-x", "sha1-eA=="].map(mlc.isValidSRI);
      return { names, integrity, elsewhere, valid };
    """,
        digest,
    )
    assert found["names"] == [
        "UnclearModelToUseError", "SpecifiedModelNotFoundError", "ContextWindowSizeExceededError",
        "EmbeddingUnsupportedModelError", "ModelNotFoundError", "ReloadModelIdNotUniqueError",
        "ReloadArgumentSizeUnmatchedError", "UnsupportedFieldsError", "UnsupportedFieldsError",
        "WindowSizeConfigurationError", "Error", "UnsupportedFieldsError", "IntegrityError",
    ]  # fmt: skip
    is_one, url, is_wrong, actual = found["integrity"]
    assert (is_one, is_wrong, actual) == (True, True, digest) and url.endswith("/made/long.gguf")
    assert found["valid"] == [True, False, False]
    assert "/nowhere/model/resolve/main/" in found["elsewhere"]


def test_logit_processors_and_templates(webllm: Run) -> None:
    """State is reset where a conversation begins anew; tokens can be forwarded one by one."""
    found = webllm("""
      const calls = [];
      let next = 72;
      const processor = {
        processLogits(logits) {
          calls.push(logits.length);
          return logits.fill(-1e9).fill(0, next, next + 1);
        },
        processSampledToken(token) { calls.push(String.fromCharCode(token)); next += 1; },
        resetState() { calls.push("begins"); next = 72; },
      };
      engine.setLogitProcessorRegistry(new Map([["long", processor]]));
      const roles = { user: "Q", assistant: "A" };
      const conv_template = { roles, seps: ["|"], role_content_sep: ":", role_empty_sep: ":" };
      const system = { system_template: "{system_message}", system_message: "Hey" };
      await engine.reload("long", { conv_template, conv_config: { ...system, stop_str: ["J"] } });
      const ask = (messages, fields) =>
        engine.chatCompletion({ messages, max_tokens: 4, ...fields });
      const turns = [{ role: "user", content: "a" }];
      const reply = await ask(turns);
      const { content } = reply.choices[0].message;
      const further = [...turns, { role: "assistant", content }, { role: "user", content: "b" }];
      await ask(further, { max_tokens: 1 });
      await ask(turns, { n: 2, max_tokens: 1 });
      const chat = calls.splice(0);
      await engine.resetChat();
      const ids = [await engine.forwardTokensAndSample([42, 43], true)];
      const forward = (token) => engine.forwardTokensAndSample([token], false);
      for (let i = 0; i < 2; i++) ids.push(await forward(ids.at(-1)));
      const { prompt_tokens } = reply.usage;
      const stats = await engine.runtimeStatsText();
      return { content, chat, ids, forwarded: calls, prompt_tokens, stats };
    """)
    tokens = [entry for entry in found["chat"] if isinstance(entry, str)]
    assert tokens == ["begins", "H", "I", "J", "K", "begins", "H", "begins", "H"]
    assert found["content"] == "HI" and found["prompt_tokens"] == len("HeyQ:a|A:")
    assert found["ids"] == [72, 73, 74]
    assert [*map(type, found["forwarded"])] == [str, *[int, str] * 3]
    assert found["stats"].startswith("prefill: ")


def test_a_worker_s_logit_processors_and_ends(webllm: Run) -> None:
    found = webllm("""
      const heard = [];
      engine.worker.onmessage = ({ data }) => heard.push(data);
      await engine.reload("worked");
      const asked = { prompt: "a", max_tokens: 2 };
      const { choices, usage } = await engine.completions.create(asked);
      await engine.resetChat();
      await until(() => heard.length === 2);
      // What is loaded can be deleted, and goes on.
      await mlc.deleteModelAllInfoInCache("worked", appConfig);
      const kept = await mlc.hasModelInCache("worked", appConfig);
      const { length } = (await engine.completions.create(asked)).choices;
      const ending = engine.reload("long");
      await engine.unload();
      const ended = await ending; // as WebLLM's, which resolves
      const other = new mlc.MLCEngine();
      const names = await Promise.all([engine, other].map((one) => failure(one.getMessage())));
      return [heard, choices[0].text[0], usage.completion_tokens, kept, length, ended,
        ...names.map(({ name }) => name)];
    """)
    heard, first, count, kept, choices, ended, *names = found
    assert heard[0] == [] and heard[1][0] == 72 and len(heard[1]) == count
    assert (first, kept, choices, ended) == ("H", False, 1, None)
    assert names == ["WorkerEngineModelNotLoadedError", "ModelNotLoadedError"]
