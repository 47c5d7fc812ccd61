// The side panel: a conversation with the model that ships, kept while the panel is open.

import { createEngine } from "./pyodide/webllm_py.js";

const [list, state, form, question, ask, stop] =
  ["messages", "state", "form", "question", "ask", "stop"].map((id) => document.getElementById(id));
const messages = [];
let asking = null;

try {
  const engine = await createEngine({ onProgress: ({ text }) => (state.textContent = text) });
  const { name, adapter } = await engine.info();
  state.textContent = `${name} on ${adapter}`;
  ask.disabled = false;
  question.focus();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (question.value && !asking) answer(engine, question.value);
  });
} catch (error) {
  state.textContent = `${error.name}: ${error.message}`;
}
stop.addEventListener("click", () => asking?.abort());

async function answer(engine, text) {
  question.value = "";
  messages.push({ role: "user", content: text });
  show("user", text);
  const item = show("assistant", "");
  asking = new AbortController();
  [ask.hidden, stop.hidden] = [true, false];
  try {
    const request = { messages, temperature: 0, stream: true };
    const stream = await engine.chat.completions.create(request, { signal: asking.signal });
    for await (const chunk of stream) {
      item.append(chunk.choices[0].delta.content ?? "");
      item.scrollIntoView({ block: "end" });
    }
  } catch (error) {
    if (error.name !== "AbortError") item.append(`${error.name}: ${error.message}`);
  }
  messages.push({ role: "assistant", content: item.textContent });
  asking = null;
  [ask.hidden, stop.hidden] = [false, true];
}

function show(role, text) {
  const item = document.createElement("li");
  item.className = role;
  item.textContent = text;
  list.append(item);
  return item;
}
