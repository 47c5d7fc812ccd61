// The page: wires the engine's worker to the conversation, the panels and the keyboard.
//
// Query parameters
//   ?model=ADDRESS   load this model instead of the pocket model
//   ?ask=TEXT        ask this as soon as a model answers
//   ?report=/PATH    POST, as JSON, to a path of the page's own origin: with ask what came of it,
//                    without when Python was up and the first model was ready (for measurements
//                    and for tests in browsers that no driver drives)

import { announce, announceShown } from "./announcer.mjs";
import { Arrivals } from "./arrivals.mjs";
import { Cleared } from "./cleared.mjs";
import { Composer } from "./composer.mjs";
import { Conversation } from "./conversation.mjs";
import { Course } from "./course.mjs";
import { DocumentsPanel } from "./documents.mjs";
import { Drafts } from "./drafts.mjs";
import { Engine } from "./engine.mjs";
import { KeptModels } from "./kept.mjs";
import { Loads } from "./loads.mjs";
import { goOn } from "./focus.mjs";
import { ModelPicker, POCKET, fromAddress, ofHub } from "./models.mjs";
import { Notice } from "./notice.mjs";
import { NO_IMAGE, explain, hindered, waysOn } from "./problems.mjs";
import { recall, remember } from "./session.mjs";
import { Settings } from "./settings.mjs";
import { keepSite, report } from "./site.mjs";
import { Status } from "./status.mjs";
import { Views } from "./views.mjs";
import { Welcome } from "./welcome.mjs";

const $ = (selector) => document.querySelector(selector);
const query = new URLSearchParams(location.search);
const before = query.has("ask") ? {} : recall(); // what a reload interrupted

const engine = new Engine();
const status = new Status();
const settings = new Settings();
const notice = new Notice();
const conversations = Object.fromEntries(
  Object.entries({ chat: "#messages", documents: "#document-messages" }).map(([view, list]) => [
    view, new Conversation($(list), {
      regenerate,
      edit: (exchange) => drafts.edit(exchange),
      "take-back": (exchange) => drafts.takeBack(exchange),
    }),
  ]),
);
const composer = new Composer({
  onSend: send,
  onStop: stop,
  onCancelEdit: () => drafts.cancelEdit(),
  onNoImage: (message) => tell({ ...NO_IMAGE, advice: [message] }),
});
const drafts = new Drafts(composer, { current: () => conversation, onChange: show });
const cleared = new Cleared(show);
const welcome = new Welcome((text) => ask({ text, images: [] }));
const course = new Course(show);
const loads = new Loads(engine, course, {
  begin: () => notice.hide(),
  info: showModel,
  loaded,
  back: () => conversation.waiting && drafts.giveBack(conversation.waiting),
  problem,
});
const picker = new ModelPicker((model) => loads.load(model), () => kept.show());
const kept = new KeptModels(engine, (model) => picker.pick(model));
const documents = new DocumentsPanel(engine, { onProblem: problem, onChange: show });
const views = new Views({ onShow: look, onHindered: (words) => tell(hindered(words)) });
new Arrivals({ views, picker, documents, composer, course, loads, tell });

// --- state

let conversation = conversations.chat; // the one in view
const opened = { script: performance.now() }; // milestones of the start, in ms since the page was opened

function show() {
  const ask = canAsk();
  status.state = course.state;
  picker.enabled = course.state !== "failed";
  composer.ask(invitation(), { takesImages: views.shown === "chat" });
  composer.show({ canStop: course.state === "answering", canSend: ask, sees: loads.sees });
  views.hindrance = hindrance();
  $("#new-chat").disabled = conversation.isEmpty;
  cleared.show(conversation);
  welcome.show({ isWanted: conversations.chat.isEmpty, canAsk: ask });
  keep();
}

/** Have a reload find all as it is now, but for a model that only this page was given. */
function keep() {
  const model = loads.good ?? before.model ?? POCKET;
  const told = Object.entries(conversations).map(([view, { kept }]) => [view, kept]);
  remember({
    model: model.source instanceof Object ? POCKET : model,
    view: views.shown,
    draft: composer.message,
    ...Object.fromEntries(told),
  });
}

function canAsk() {
  if (views.shown === "documents" && documents.isEmpty) return false;
  return course.state === "ready" || (course.isComing && !conversation.waiting);
}

/** Why the other tab cannot be shown now. */
function hindrance() {
  if (course.state === "answering") return "This tab opens once the answer is over.";
  if (conversation.waiting) return "This tab opens once the question that waits is answered.";
  if (conversation.edited) return "This tab opens once the edited question is sent, or the edit cancelled.";
  return "";
}

/** Show the chat, or the documents. */
function look(view) {
  conversation = conversations[view];
  for (const [name, each] of Object.entries(conversations)) each.isShown = name === view;
  if (course.state === "ready") notice.hide(); // it is of the other one
  show();
}

function invitation() {
  if (views.shown === "chat") return "Ask something";
  return documents.isEmpty ? "Add a document, then ask" : "Ask your documents";
}

// --- models

function started({ fromSnapshot, times = {} }) {
  document.body.dataset.fromSnapshot = fromSnapshot;
  for (const [name, at] of Object.entries(times)) opened[name] = at - performance.timeOrigin;
  opened.started = performance.now();
  loads.started();
  documents.open();
}

function loaded(info) {
  announce("Ready");
  opened.ready ??= performance.now();
  if (!query.has("ask")) report({ opened, fromSnapshot: document.body.dataset.fromSnapshot, info });
  if (conversation.waiting) answer(conversation.waiting);
  keepSite();
}

/** `info`: what the model tells of itself; null while there is none. */
function showModel(info, name) {
  $("#model-name").textContent = name;
  picker.show(info, loads.good);
  status.info = info;
  documents.info = info;
  if (info) settings.context = info.context_length;
}

// --- asking

function send() {
  const { message } = composer;
  if (composer.isEmpty || !canAsk()) return;
  const { edited } = conversation;
  conversation.edited = null;
  composer.clear();
  ask(message, edited);
}

/** `message`: {text, images}. */
function ask(message, replaced = null) {
  const exchange = conversation.add(message, replaced);
  if (course.state === "ready") {
    answer(exchange);
  } else {
    exchange.wait();
    announce("Your question waits for the model.");
    show();
  }
}

async function answer(exchange) {
  notice.hide();
  exchange.begin();
  const told = [(text) => exchange.think(text), (text) => exchange.extend(text)];
  const work = views.shown === "documents"
    ? engine.ask(exchange.question, settings.options, (found) => exchange.showSources(found), ...told)
    : engine.chat(conversation.messages(settings.system, exchange), settings.options, ...told);
  course.enter("answering", work);
  announce("Answering");
  const end = await work;
  const failed = end.type === "error";
  if (failed) exchange.fail(explain(end).title);
  else exchange.end(end);
  if (work !== course.job) return;
  course.enter(failed && end.kinds.includes("DeviceLostError") ? "lost" : "ready");
  if (!exchange.answer && (failed || exchange.isRepeat)) drafts.giveBack(exchange);
  if (failed) problem(end);
  else answered(exchange, end);
}

function answered(exchange, end) {
  if (end.type === "done") {
    status.answered(end);
    picker.show(end.info, loads.good);
  }
  announceShown(exchange.told);
  Object.assign(document.body.dataset, {
    answers: Number(document.body.dataset.answers ?? 0) + 1,
    cachedTokens: end.usage?.cached_tokens ?? 0,
  });
  report({ reply: exchange.answer, ...end });
}

function stop() {
  engine.stop();
  goOn();
}

function regenerate(exchange) {
  if (course.state !== "ready") return;
  if (conversation.edited) drafts.cancelEdit();
  ask(exchange.message, exchange);
  goOn();
}

function newChat() {
  cleared.keep(conversation);
  conversation.clear();
  composer.endEdit();
  status.newChat();
  if (course.state === "answering") {
    engine.stop();
    course.enter("ready");
  }
  if (course.state === "ready") notice.hide();
  show();
  goOn();
}

// --- problems

const ACTIONS = {
  reload: () => ["Reload the page", () => location.reload()],
  recover: () => ["Start the model again", () => (course.state === "lost" ? loads.recover() : loads.load(loads.wanted))],
  hub: (model = ofHub(loads.wanted)) => [`Load ${model.source}`, () => loads.load(model)],
  retry: (model = loads.wanted) => ["Try again", () => loads.load(model)],
  back: () => [`Back to ${loads.good.name}`, () => loads.load(loads.good)],
  choose: () => ["Choose a model", () => picker.open()],
  pocket: () => ["Use the pocket model", () => loads.load(POCKET)],
  fresh: () => ["New chat", newChat],
  dismiss: () => ["OK", () => notice.hide()],
  settings: () => ["Open the settings", () => settings.open()],
};

/** `end`: what went wrong, or that a load was cancelled. */
function problem(end) {
  tell(waysOn(end, { wanted: loads.wanted, good: loads.good, isEmpty: course.state === "empty" }));
  if (end.type !== "error") return;
  console.warn(`${end.kinds[0]}: ${end.message}`);
  report({ error: end });
}

/** `words`: see problems.mjs. */
function tell({ actions, ...words }) {
  notice.show({ ...words, actions: actions.map((name) => ACTIONS[name]()) });
}

// --- keyboard and buttons

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || $("dialog[open]")) return;
  if (conversation.edited) drafts.cancelEdit();
  else if (course.state === "answering") engine.stop();
});
$("#new-chat").addEventListener("click", newChat);
// In the middle of an answer; on telephones a page that is out of sight may never be told of its end.
addEventListener("pagehide", keep);
document.addEventListener("visibilitychange", keep);

// --- start

engine.addEventListener("progress", ({ detail }) => {
  if (course.state === "starting") loads.update(detail);
});
engine.addEventListener("started", ({ detail }) => started(detail));
engine.addEventListener("failed", ({ detail }) => loads.fail("failed", detail));
engine.start();
for (const [view, each] of Object.entries(conversations)) each.restore(before[view]);
if (before.view) views.show(before.view);
if (before.draft) composer.message = before.draft;
if (course.state !== "failed") {
  loads.load(query.has("model") ? fromAddress(query.get("model")) : before.model ?? POCKET);
  if (query.has("ask")) ask({ text: query.get("ask"), images: [] });
}
