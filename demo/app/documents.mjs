// The documents that are asked: adding and removing them, and the embedder that finds passages by
// meaning. They are kept in this browser; of the embedder its address.

import { announce } from "./announcer.mjs";
import { failure } from "./engine.mjs";
import { goOn } from "./focus.mjs";
import * as format from "./format.mjs";
import { fromFile, fromFolder, openFiles } from "./models.mjs";

const $ = (selector) => document.querySelector(selector);

const MINILM = "hf:sentence-transformers/all-MiniLM-L6-v2";
const FOLLOWS_INSTRUCTIONS = 100e6; // parameters, as webllm_py/documents/asking.py has it
const KEPT = "webllm_py embedder";

export class DocumentsPanel {
  #engine;
  #onProblem;
  #list = [];
  #work = Promise.resolve(); // one thing after the other

  /** `onProblem(end)` gets an "error" message; `onChange()` is called when the list changes. */
  constructor(engine, { onProblem, onChange }) {
    this.#engine = engine;
    this.#onProblem = onProblem;
    this.onChange = onChange;
    openFiles("#add-documents", "#documents-input", (files) => this.add(files));
    openFiles("#pick-embedder", "#embedder-input", ([file]) => this.use(fromFile(file)));
    openFiles("#pick-embedder-folder", "#embedder-folder-input", (files) =>
      this.use(fromFolder(files, files[0].webkitRelativePath.split("/")[0])));
    $("#use-minilm").addEventListener("click", () => this.use({ source: MINILM }));
    $("#no-embedder").addEventListener("click", () => this.use(null));
    $("#document-list").addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.#remove(button.dataset.name);
    });
  }

  /** What the model is that answers; null while there is none. */
  set info(info) {
    $("#small-model").hidden = !info || info.parameters >= FOLLOWS_INSTRUCTIONS;
  }

  get isEmpty() {
    return this.#list.length === 0;
  }

  /** What is kept from earlier; once Python is up. */
  async open() {
    await this.#do("", (documents) => this.#refresh(documents));
    const address = localStorage.getItem(KEPT);
    if (address && !this.isEmpty) await this.use({ source: address });
  }

  /** Files that were dropped or picked: documents, or an embedder. */
  add(files) {
    for (const file of files) {
      this.#do(`Reading ${file.name}`, async (documents, onProgress) => {
        await documents.add(file.name, file, { onProgress });
        announce(`${file.name} was added.`);
        await this.#refresh(documents);
      });
    }
  }

  /** Search with an embedder, {source}, or with null by words alone. */
  use(model) {
    return this.#do("Loading the embedder", async (documents, onProgress) => {
      try {
        await documents.use(model?.source ?? null, { onProgress });
        if (typeof model?.source === "string") localStorage.setItem(KEPT, model.source);
        else localStorage.removeItem(KEPT);
      } finally {
        await this.#refresh(documents);
      }
      announce($("#search-kind").textContent);
    });
  }

  #remove(name) {
    this.#do("", async (documents) => {
      await documents.remove(name);
      announce(`${name} was removed.`);
      await this.#refresh(documents);
      goOn();
    });
  }

  #do(words, work) {
    const begin = async () => {
      this.#say(words);
      try {
        await work(await this.#engine.documents, (progress) => this.#say(told(words, progress)));
      } catch (error) {
        this.#onProblem(failure("documents", error));
      }
      this.#say("");
    };
    this.#work = this.#work.then(begin);
    return this.#work;
  }

  async #refresh(documents) {
    const { documents: list, embedder } = await documents.list();
    this.#list = list;
    $("#document-list").replaceChildren(...list.map(row));
    $("#search-kind").textContent = embedder
      ? `Searched by words and by meaning (${embedder})`
      : "Searched by words";
    $("#no-embedder").hidden = !embedder;
    this.onChange();
  }

  #say(words) {
    $("#documents-work").textContent = words;
    $("#documents-work").hidden = !words;
  }
}

function told(words, { stage, loaded, total }) {
  if (stage === "passages") return `Embedding passages: ${loaded} of ${total}`;
  return total ? `${words}: ${format.bytes(loaded)} of ${format.bytes(total)}` : words;
}

function row({ name, characters, passages }) {
  const [item, title, facts, button] = ["li", "span", "span", "button"].map((tag) =>
    document.createElement(tag));
  title.className = "name";
  title.textContent = name;
  title.dir = "auto";
  facts.className = "facts";
  const parts = passages === 1 ? "1 passage" : `${format.count(passages)} passages`;
  facts.textContent = `${format.count(characters)} characters · ${parts}`;
  button.type = "button";
  button.className = "quiet";
  button.dataset.name = name;
  button.textContent = "Remove";
  button.setAttribute("aria-label", `Remove ${name}`);
  item.append(title, facts, button);
  return item;
}

/** Whether all that was dropped can be asked as documents. */
export function areDocuments(files) {
  return files.every(({ name, type }) => /\.(txt|md|markdown|pdf)$/i.test(name) || type === "application/pdf");
}

/** Whether what was dropped is an embedder and no documents. */
export function isModel(files) {
  return files.some(({ name }) => name.endsWith(".gguf") || name === "config.json");
}
