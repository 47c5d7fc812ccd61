// Choosing a model: the dialog, files from disk, and files dropped on the page.

import * as format from "./format.mjs";

const $ = (selector) => document.querySelector(selector);

const IS_ON_DISK = /^(?:file:|[a-z]:[\\/]|\\\\|~[\\/]|\/(?:home|users)\/)/i;
const ON_DISK = "This is a path on your disk, which no page can open: use “A file” or “A folder”.";

export const POCKET = { source: undefined, name: "Pocket model", contextLength: null };

// What each downloads: weights as `webllm-py info` counts them. All of them are run in the tests of
// their families, with random weights.
const LARGER = [
  ["SmolLM2-360M-Instruct-q4f16_1-MLC", "SmolLM2 360M", "204 MB"],
  ["Qwen3-0.6B-q4f16_1-MLC", "Qwen3 0.6B", "336 MB, thinks first"],
  ["Llama-3.2-1B-Instruct-q4f16_1-MLC", "Llama 3.2 1B", "695 MB"],
  ["hf:HuggingFaceTB/SmolVLM-256M-Instruct", "SmolVLM 256M", "0.5 GB, sees images"],
];

/**
 * Calls `onPick({source, name, contextLength})` when a model was chosen, and `onOpen()` when one is to
 * be.
 */
export class ModelPicker {
  #dialog = $("#model-dialog");
  #button = $("#model-button");
  #onPick;
  #onOpen;

  constructor(onPick, onOpen) {
    this.#onPick = onPick;
    this.#onOpen = onOpen;
    const pick = (model) => this.pick(model);
    this.#button.addEventListener("click", () => this.open());
    $("#pick-pocket").addEventListener("click", () => pick(POCKET));
    openFiles("#pick-file", "#file-input", ([file]) => pick(fromFile(file)));
    openFiles("#pick-folder", "#folder-input", (files) =>
      pick(fromFolder(files, files[0].webkitRelativePath.split("/")[0])));
    $("#larger-list").append(...LARGER.map(([source, name, facts]) => larger(name, facts, () =>
      pick({ ...fromAddress(source), name }))));
    const address = $("#address");
    address.addEventListener("input", () =>
      address.setCustomValidity(IS_ON_DISK.test(address.value.trim()) ? ON_DISK : ""));
    $("#address-form").addEventListener("submit", (event) => {
      event.preventDefault();
      pick(fromAddress(address.value.trim()));
    });
  }

  /** Choose a model: {source, name}. */
  pick(model) {
    $("dialog[open]")?.close();
    this.#onPick({ ...model, contextLength: Number($("#context-length").value) || null });
  }

  open() {
    this.#onOpen();
    this.#dialog.showModal();
  }

  /** Whether a model can be chosen at all. */
  get enabled() {
    return !this.#button.disabled;
  }

  set enabled(enabled) {
    this.#button.disabled = !enabled;
  }

  /** What the loaded model is, and what was picked for it; `info` is null while there is none. */
  show(info, model) {
    $("#model-summary").textContent = info ? summary(info) : "No model is loaded.";
    $("#pick-pocket").ariaCurrent = info && model.source === POCKET.source ? "true" : null;
  }
}

function summary(info) {
  return [
    info.name,
    info.architecture !== info.name && info.architecture,
    info.quantization,
    `${format.parameters(info.parameters)} parameters`,
    `${format.tokens(info.context_length)} of context`,
    info.vision && "sees images",
    `${format.bytes(info.gpu_memory)} on ${info.adapter}`,
    info.kernels,
  ].filter(Boolean).join(" · ");
}

function larger(name, words, onClick) {
  const item = document.createElement("li");
  const button = modelButton(name, words);
  button.addEventListener("click", onClick);
  item.append(button);
  return item;
}

/** A button that loads a model, with what is to be known of it. */
export function modelButton(name, words) {
  const [button, title, facts] = ["button", "span", "span"].map((tag) => document.createElement(tag));
  button.type = "button";
  button.className = "model";
  title.className = "name";
  title.textContent = name;
  facts.className = "facts";
  facts.textContent = words;
  button.append(title, facts);
  return button;
}

/** What a model's name on the hub may have been meant for, where it was written without its "hf:"; or null. */
export function ofHub({ source, contextLength }) {
  const isName = typeof source === "string" && /^[\w-][\w.-]*\/(?!.*\.[a-z]\w+$)[\w.-]+$/.test(source);
  return isName ? { ...fromAddress(`hf:${source}`), contextLength } : null;
}

/** The model at an address. */
export function fromAddress(address) {
  const plain = address.replace(/[?#].*$/, "").replace(/\/+$/, "");
  const ofHub = plain.replace(/^(https:\/\/[^/]+\/[^/]+\/[^/]+)\/(resolve|tree)\/[^/]+$/, "$1"); // a whole repository
  const name = ofHub.split(/[/:]/).pop();
  return { source: address, name: name || address, contextLength: null };
}

export function fromFile(file) {
  return { source: file, name: file.name };
}

export function fromFolder(files, name) {
  return { source: { name, files }, name };
}

/** A button that asks for files. */
export function openFiles(button, input, onFiles) {
  $(button).addEventListener("click", () => $(input).click());
  $(input).addEventListener("change", () => {
    const files = [...$(input).files];
    $(input).value = ""; // so that the same file can be chosen again
    if (files.length) onFiles(files);
  });
}
