// Where files go that were dropped or pasted: by what they are, and by what is in view.

import { areImages } from "./attachments.mjs";
import { areDocuments, isModel } from "./documents.mjs";
import { acceptDrops } from "./drops.mjs";
import { fromFile, fromFolder } from "./models.mjs";
import { ADDED, BLIND, EMPTY } from "./problems.mjs";

export class Arrivals {
  #views;
  #picker;
  #documents;
  #composer;
  #course;
  #loads;
  #tell;

  /** `tell(words)`: see problems.mjs. */
  constructor({ views, picker, documents, composer, course, loads, tell }) {
    this.#views = views;
    this.#picker = picker;
    this.#documents = documents;
    this.#composer = composer;
    this.#course = course;
    this.#loads = loads;
    this.#tell = tell;
    acceptDrops({
      isWanted: () => picker.enabled,
      words: () => this.#words,
      onFile: (file) => this.#dropped([file], fromFile(file)),
      onFolder: (files, name) => this.#dropped(files, fromFolder(files, name)),
      onEmpty: () => tell(EMPTY),
      onPasted: (files) => {
        if (this.#isChat) this.#attach(files);
      },
    });
  }

  get #isChat() {
    return this.#views.shown === "chat";
  }

  get #words() {
    if (!this.#isChat) return "Drop text, Markdown or PDF files";
    return `Drop ${this.#loads.sees ? "images, " : ""}a .gguf file, a model folder or documents`;
  }

  /** `model`: what they are if they are one. */
  #dropped(files, model) {
    if (this.#isChat && areImages(files)) this.#attach(files);
    else if (this.#isChat && areDocuments(files)) this.#addDocuments(files);
    else if (this.#isChat) this.#picker.pick(model);
    else if (isModel(files)) this.#documents.use(model);
    else this.#documents.add(files);
  }

  /** Documents that were dropped on the chat. */
  #addDocuments(files) {
    this.#documents.add(files);
    if (this.#views.hindrance) this.#tell(ADDED);
    else this.#views.show("documents");
  }

  /** Whether a model reads images is only known once it is loaded. */
  #attach(files) {
    if (this.#loads.sees || this.#course.isComing) this.#composer.attach(files);
    else this.#tell(BLIND);
  }
}
