// Large language models in a web page, from JavaScript: Python runs them in a worker, and this is
// OpenAI's interface to it. What webllm_py.d.ts describes is all there is to use.
//
//   import { createEngine } from "./pyodide/webllm_py.js";
//   const engine = await createEngine({ model: "hf:org/name", onProgress: ({ text }) => say(text) });
//   const messages = [{ role: "user", content: "Hello!" }];
//   for await (const chunk of await engine.chat.completions.create({ messages, stream: true })) ...
//
// The page and this folder must be of one origin.

export { createEngine, Engine } from "./js/engine.js";
export * from "./js/error_classes.js";
export { resumingFetch } from "./js/resume.js";
