// The page: wires the engine's worker to the conversation, the panels and the keyboard.
//
// Query parameters
//   ?model=ADDRESS   load this model instead of the pocket model
//   ?ask=TEXT        ask this as soon as a model answers
//   ?report=/PATH    with ask: POST what came of it, as JSON, to a path of the page's own origin
//                    (for tests in browsers that no driver drives)

import { Conversation } from "./conversation.mjs";
import { Engine } from "./engine.mjs";
import { ModelPicker, fromAddress } from "./models.mjs";
import { explain } from "./problems.mjs";
import { Settings } from "./settings.mjs";
import { LoadingPanel, Status } from "./status.mjs";

const EXAMPLES = [
  "What can you do?",
  "What is 27 + 48?",
  "What is the capital of Japan?",
  "Write the word garden backwards.",
  "Tell me a short story about a fox.",
  "Priya is 31. Give that as JSON.",
];
const POCKET = [{ kind: "pocket" }, "Pocket model"];

const $ = (selector) => document.querySelector(selector);
const query = new URLSearchParams(location.search);

const prompt = $("#prompt");
const status = new Status();
const settings = new Settings();
const conversation = new Conversation({ onEdit: edit, onRegenerate: regenerate });
const loading = new LoadingPanel(() => engine.cancel());
const picker = new ModelPicker(load);
const chosen = { source: null, name: "", contextLength: null, info: null };
let state = "starting";
let waiting = false; // a question was sent before a model could answer

function startEngine() {
  if (!navigator.gpu) {
    problem({ during: "start", kinds: ["NoWebGPU"], message: "navigator.gpu is not there." });
    return null;
  }
  const created = new Engine();
  created.addEventListener("progress", ({ detail }) => loading.update(detail));
  created.addEventListener("started", ({ detail }) => {
    document.body.dataset.fromSnapshot = detail.fromSnapshot;
    loading.show("opening");
  });
  created.addEventListener("loaded", ({ detail }) => loaded(detail.info));
  created.addEventListener("cancelled", cancelled);
  created.addEventListener("problem", ({ detail }) => problem(detail));
  return created;
}

function enter(next) {
  state = next;
  status.state = next;
  const busy = next === "answering";
  const onButton = [$("#send"), $("#stop")].includes(document.activeElement);
  $("#stop").hidden = !busy;
  $("#send").hidden = busy;
  if (onButton) (busy ? $("#stop") : prompt).focus();
  $("#send").disabled = next === "failed";
  $("#new-chat").disabled = conversation.isEmpty;
  $("#welcome").hidden = !conversation.isEmpty;
}

// --- models

function load(source, name, contextLength = null) {
  Object.assign(chosen, { source, name, contextLength, info: null });
  hideNotice();
  $("#model-name").textContent = name;
  picker.info = null;
  status.info = null;
  const first = state === "starting";
  loading.show(first ? "python" : "opening", { cancellable: !first });
  if (!first) enter("loading");
  engine.load(source, contextLength);
}

function loaded(info) {
  chosen.info = info;
  loading.hide();
  picker.info = info;
  status.info = info;
  $("#model-name").textContent = chosen.name;
  enter("ready");
  if (waiting) send();
}

function cancelled() {
  notLoaded("empty");
  const actions = ["retry", "pocket", "choose"];
  showNotice({ title: "Loading was cancelled", advice: [], actions, message: "" });
}

function notLoaded(next) {
  loading.hide();
  waiting = false;
  $("#composer").removeAttribute("data-waiting");
  $("#model-name").textContent = "No model";
  enter(next);
}

// --- asking

function send() {
  const text = prompt.value.trim();
  if (!text || state === "answering" || state === "failed") return;
  if (state !== "ready") {
    waiting = state !== "empty";
    $("#composer").toggleAttribute("data-waiting", waiting);
    return;
  }
  waiting = false;
  $("#composer").removeAttribute("data-waiting");
  prompt.value = "";
  fitPrompt();
  conversation.ask(text);
  answer();
}

async function answer() {
  hideNotice();
  const messages = conversation.messages(settings.system);
  const turn = conversation.beginAnswer();
  enter("answering");
  try {
    const extend = (text) => conversation.extend(turn, text);
    const done = await engine.chat(messages, settings.options, extend);
    conversation.endAnswer(turn, done);
    $("#announcer").textContent = turn.content;
    status.answered(done);
    Object.assign(document.body.dataset, {
      answers: Number(document.body.dataset.answers ?? 0) + 1,
      cachedTokens: done.usage.cached_tokens,
    });
    enter("ready");
    report({ reply: turn.content, ...done });
  } catch (error) {
    conversation.failAnswer(turn, explain(error).title);
    problem(error);
  }
}

function regenerate() {
  if (state !== "ready") return;
  conversation.dropAnswer();
  answer();
}

function edit(text) {
  if (state === "answering") return;
  prompt.value = text;
  fitPrompt();
  prompt.focus();
  enter(state);
}

function newChat() {
  if (state === "answering") engine.stop();
  conversation.clear();
  if (state !== "failed") hideNotice();
  enter(state);
  prompt.focus();
}

// --- problems

const ACTIONS = {
  reload: ["Reload the page", () => location.reload()],
  recover: ["Start the model again", recover],
  retry: ["Try again", () => load(chosen.source, chosen.name, chosen.contextLength)],
  choose: ["Choose a model", () => picker.open()],
  pocket: ["Use the pocket model", () => load(...POCKET)],
  fresh: ["New chat", newChat],
  settings: ["Open the settings", () => $("#settings-button").click()],
};

function recover() {
  hideNotice();
  loading.show("opening");
  enter("loading");
  engine.recover();
}

// After a failed answer the model is still there, unless its device is not.
function problem(error) {
  console.warn(`${error.kinds[0]}: ${error.message}`);
  if (error.during === "chat") enter(error.kinds.includes("DeviceError") ? "failed" : "ready");
  else notLoaded(error.during === "load" ? "empty" : "failed");
  showNotice(explain(error));
  report({ error });
}

function showNotice({ title, advice, actions, message }) {
  $("#notice-title").textContent = title;
  $("#notice-text").replaceChildren(...advice.map((sentence) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    return paragraph;
  }));
  $("#notice-details").hidden = !message;
  $("#notice-message").textContent = message;
  $("#notice-actions").replaceChildren(...actions.map((name) => {
    const [label, act] = ACTIONS[name];
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", act);
    return button;
  }));
  $("#notice").hidden = false;
}

function hideNotice() {
  $("#notice").hidden = true;
}

// --- keyboard and composer

function fitPrompt() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}

prompt.addEventListener("input", fitPrompt);
prompt.addEventListener("keydown", (event) => {
  // While an input method composes, Enter picks a word; Safari tells it by the key code alone.
  const composing = event.isComposing || event.keyCode === 229;
  if (event.key !== "Enter" || event.shiftKey || composing) return;
  event.preventDefault();
  send();
});
addEventListener("keydown", (event) => {
  const inDialog = document.querySelector("dialog[open]");
  if (event.key === "Escape" && state === "answering" && !inDialog) engine.stop();
});
$("#composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("#stop").addEventListener("click", () => {
  engine.stop();
  prompt.focus();
});
$("#new-chat").addEventListener("click", newChat);

$("#examples").append(...EXAMPLES.map((text) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", () => {
    prompt.value = text;
    send();
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}));

// --- start

async function report(body) {
  const path = query.get("report");
  if (!query.has("ask") || !path?.startsWith("/") || path.startsWith("//")) return;
  await fetch(path, { method: "POST", body: JSON.stringify({ ...body, info: chosen.info }) });
}

const engine = startEngine();
if (engine) {
  load(...(query.has("model") ? fromAddress(query.get("model")) : POCKET));
  if (query.has("ask")) {
    prompt.value = query.get("ask");
    send();
  }
}
