"""The package's JavaScript in a page, the example, for tests: their own is run in it."""

from __future__ import annotations

from typing import Any

from page import Page

__all__ = ["CAPITAL", "run_javascript"]

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
    const withWorkers = async (make) => { // what it makes, and the workers of that
      const { Worker } = globalThis;
      const workers = [];
      globalThis.Worker = class extends Worker {
        constructor(...given) {
          super(...given);
          workers.push(this);
        }
      };
      try { return [await make(), workers]; } finally { globalThis.Worker = Worker; }
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


def run_javascript(page: Page, code: str, given: Any = None) -> Any:
    """Run the body of an asynchronous function; what it returns."""
    end = "})().then((value) => done({ value }), (error) => done({ error: `${error.stack}` }));"
    result = page.driver.execute_async_script(f"{MODULE}{code}{end}", given)
    assert "error" not in result, result["error"]
    return result["value"]
