// What went wrong, in words that say what to do.

import { POCKET, ofHub } from "./models.mjs";

const CHROME_LINUX = [
  "Turn on “Unsafe WebGPU Support” at chrome://flags/#enable-unsafe-webgpu and “Vulkan” at",
  "chrome://flags/#enable-vulkan, then restart the browser.",
].join(" ");
const ACCELERATION =
  "Check that graphics acceleration is on: chrome://settings/system (edge://settings/system in Edge).";

/** Advice for a browser that offers no WebGPU: [sentence, ...]. */
export function webgpuAdvice(agent = navigator.userAgent, secure = isSecureContext) {
  if (!secure) {
    return [
      "This page was not opened over https or from localhost, and browsers hide WebGPU from it.",
      "Open it as http://localhost (forward the port if the server is elsewhere), or serve it over https.",
    ];
  }
  if (/Firefox\//.test(agent)) {
    return [
      "Firefox has WebGPU on Windows since version 141 and on Macs with Apple silicon since 145: update Firefox.",
      "Elsewhere open about:config, set dom.webgpu.enabled and dom.webgpu.workers.enabled to true, and restart.",
    ];
  }
  if (/Chrome\/|Chromium\//.test(agent)) {
    if (/Android/.test(agent)) {
      return ["Chrome on Android needs version 121 or newer and Android 12 or newer: update Chrome."];
    }
    if (/Linux/.test(agent)) return [CHROME_LINUX, ACCELERATION];
    return ["Chrome and Edge have WebGPU since version 113: update the browser.", ACCELERATION];
  }
  if (/iPhone|iPad|Safari\//.test(agent)) {
    return ["Safari has WebGPU since version 26 (macOS 26, iOS 26, iPadOS 26): update the system."];
  }
  return ["Open this page in a current Chrome, Edge, Firefox or Safari."];
}

const FITS_LESS = [
  "Choose a smaller model or a stronger quantization, close other tabs that use the GPU, or set a shorter context length.",
];

// Kind of error: [title, advice, names of the actions that help]. The engine's own sentence is
// shown as well, under "Details".
const KNOWN = {
  NoWebGPU: ["This browser offers no WebGPU", webgpuAdvice, ["reload"]],
  NoAdapterError: ["No graphics adapter can be used", webgpuAdvice, ["reload"]],
  DeviceLostError: [
    "The graphics device was lost",
    ["The driver reset it, or the system took it away. The conversation is still here."],
    ["recover"],
  ],
  GPUOutOfMemoryError: ["The model does not fit into GPU memory", FITS_LESS, ["choose", "pocket"]],
  DeviceLimitError: ["The model needs more than this GPU allows", FITS_LESS, ["choose", "pocket"]],
  UnsupportedModelError: ["This model cannot be run", [], ["choose", "pocket"]],
  NotAModelError: ["This is no model file", [], ["choose", "pocket"]],
  SeveralModelsError: ["The folder holds several models: choose one", [], ["choose", "pocket"]],
  MissingFileError: ["A file of the model is missing", [], ["choose", "pocket"]],
  CheckpointError: ["The model's file is damaged", [], ["choose", "pocket"]],
  SourceError: ["The model could not be fetched", [], ["retry", "choose", "pocket"]],
  DocumentError: ["Your documents do not tell", [], ["dismiss"]],
  TokenizerError: ["The model's tokenizer cannot be used", [], ["choose", "pocket"]],
  TemplateError: [
    "The model's chat template refused this conversation",
    [],
    ["settings", "fresh"], // some templates know no system prompt
  ],
  ContextLengthError: [
    "The conversation is longer than the model's context",
    ["Start a new chat, or load the model with a longer context."],
    ["fresh", "choose"],
  ],
  ImageError: ["The model cannot see an image", [], ["choose", "fresh"]],
  RequestError: ["The model refused this request", [], ["settings"]],
  ShaderError: ["A GPU program did not compile", ["Please report this with the details below."], ["choose"]],
  StartError: ["The page could not start", ["Reload it. If that does not help, see the details."], ["reload"]],
};

/** What a load leaves behind that was cancelled. */
const CANCELLED = {
  title: "Loading was cancelled",
  advice: ["No model is loaded now."],
  actions: ["retry", "pocket", "choose"],
  message: "",
};

/** Images for a model that reads text. */
export const BLIND = {
  title: "This model reads text only",
  advice: ["Choose one that sees to ask about images: SmolVLM, SmolVLM2, Idefics3, Phi-3-vision or Phi-3.5-vision."],
  actions: ["choose", "dismiss"],
  message: "",
};

/** Documents that came while an answer is given, or another question is waiting or edited. */
export const ADDED = {
  title: "Added to your documents",
  advice: ["Ask them under Documents, once what is under way here is over."],
  actions: ["dismiss"],
  message: "",
};

/** A folder without files. */
export const EMPTY = { title: "This folder is empty", advice: [], actions: ["dismiss"], message: "" };

/** A file that is no image. */
export const NO_IMAGE = { title: "This is no image that can be asked about", actions: ["dismiss"], message: "" };

/** A tab that cannot be shown now; `words` say until when. */
export function hindered(words) {
  return { title: "One thing after the other", advice: [words], actions: ["dismiss"], message: "" };
}

/** {title, advice, actions, message} for an "error" of the engine. */
export function explain({ kinds, message, during }) {
  if (during === "documents") {
    return { title: "This cannot be used", advice: [message], actions: ["dismiss"], message: "" };
  }
  const kind = kinds.find((name) => Object.hasOwn(KNOWN, name));
  const unknown = ["Something went wrong", [], during === "load" ? ["retry", "choose"] : ["dismiss", "fresh"]];
  const [title, advice, actions] = KNOWN[kind] ?? unknown;
  // Without advice of its own the engine's sentence is what helps.
  const sentences = typeof advice === "function" ? advice() : advice;
  if (sentences.length === 0) return { title, advice: [message], actions, message: "" };
  return { title, advice: sentences, actions, message };
}

/**
 * What is told of an "error", or of a load that was cancelled, with the ways on from here.
 * `wanted`: the model that was asked for last; `good`: the last that could be loaded; `isEmpty`:
 * whether there is none now.
 */
export function waysOn(end, { wanted, good, isEmpty }) {
  const found = end.type === "cancelled" ? CANCELLED : explain(end);
  const isMissing = end.during === "load" && ["SourceError", "MissingFileError"].some((kind) => end.kinds.includes(kind));
  if (isMissing && ofHub(wanted)) found.actions = ["hub", ...found.actions];
  if (end.left) return withoutLoss(found, good);
  const isOfModel = end.during !== "documents" && isEmpty;
  return isOfModel && good && good !== wanted ? { ...found, actions: backFirst(found.actions, good) } : found;
}

function withoutLoss({ advice, actions, ...words }, good) {
  const others = actions.filter((name) => name !== "pocket");
  return { ...words, advice: [...advice, `${good.name} is still there.`], actions: [...others, "dismiss"] };
}

function backFirst(actions, good) {
  const others = good.source === POCKET.source ? actions.filter((name) => name !== "pocket") : actions;
  return ["back", ...others];
}
