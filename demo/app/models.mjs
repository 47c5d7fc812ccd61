// Choosing a model: the dialog, files from disk, and files dropped on the page.

import * as format from "./format.mjs";

const $ = (selector) => document.querySelector(selector);

export const POCKET = { source: { kind: "pocket" }, name: "Pocket model", contextLength: null };

/** Calls `onPick({source, name, contextLength})` when a model was chosen. */
export class ModelPicker {
  #dialog = $("#model-dialog");
  #button = $("#model-button");

  constructor(onPick) {
    const pick = (model) => {
      this.#dialog.close();
      onPick({ ...model, contextLength: Number($("#context-length").value) || null });
    };
    this.#button.addEventListener("click", () => this.open());
    $("#pick-pocket").addEventListener("click", () => pick(POCKET));
    for (const [button, input] of [["#pick-file", "#file-input"], ["#pick-folder", "#folder-input"]]) {
      $(button).addEventListener("click", () => $(input).click());
      $(input).addEventListener("change", () => {
        const files = [...$(input).files];
        $(input).value = ""; // so that the same file can be chosen again
        if (files.length) pick(fromFiles(files));
      });
    }
    $("#address-form").addEventListener("submit", (event) => {
      event.preventDefault();
      pick(fromAddress($("#address").value.trim()));
    });
    acceptDrops((files) => this.#button.disabled || pick(fromFiles(files)));
  }

  open() {
    this.#dialog.showModal();
  }

  /** Whether a model can be chosen at all. */
  set enabled(enabled) {
    this.#button.disabled = !enabled;
  }

  /** What the loaded model is; null while there is none. */
  set info(info) {
    $("#model-summary").textContent = info ? summary(info) : "No model is loaded.";
  }
}

function summary(info) {
  return [
    info.name,
    info.architecture,
    info.quantization,
    `${format.parameters(info.parameters)} parameters`,
    `${format.tokens(info.context_length)} of context`,
    `${format.bytes(info.gpu_memory)} on ${info.adapter}`,
    info.kernels,
  ].filter(Boolean).join(" · ");
}

/** The model at an address. */
export function fromAddress(address) {
  const name = address.replace(/[?#].*$/, "").replace(/\/+$/, "").split(/[/:]/).pop();
  return { source: { kind: "address", address }, name: name || address, contextLength: null };
}

function fromFiles(files) {
  const [first] = files;
  if (files.length === 1) return { source: { kind: "file", file: first }, name: first.name };
  const name = first.webkitRelativePath?.split("/")[0] || "Model folder";
  return { source: { kind: "folder", name, files }, name };
}

function acceptDrops(onFiles) {
  const veil = $("#drop");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  addEventListener("drop", async (event) => {
    veil.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    // Items are gone after the first await. A file that is in no file system has no entry.
    const dropped = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = dropped.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
    const files = (await Promise.all(entries.map(filesOf))).flat();
    if (files.length) onFiles(files);
  });
}

async function filesOf(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return files; // a reader hands out a hundred entries at most at a time
    files.push(...(await Promise.all(batch.filter((inner) => inner.isFile).map(filesOf))).flat());
  }
}
