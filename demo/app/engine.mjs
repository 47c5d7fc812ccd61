// The page's side of the worker: one object whose methods send and whose events tell.

/** Events: "progress", "started", "loaded", "cancelled", "problem"; `detail` is the message. */
export class Engine extends EventTarget {
  #worker = null;
  #answers = new Map();
  #nextId = 1;

  constructor() {
    super();
    this.restart();
  }

  /** A new worker and a new Python; what the old one held is gone. */
  restart() {
    this.#worker?.terminate();
    this.#abandon("Python was restarted.");
    this.#worker = new Worker(new URL("../worker.mjs", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      const message = event.message || "The worker could not be started.";
      this.#receive({ type: "error", during: "start", kinds: ["StartError"], message });
    };
  }

  /** Load a model instead of the present one; see worker.mjs for `source`. */
  load(source, contextLength = null) {
    this.#worker.postMessage({ type: "load", source, contextLength });
  }

  cancel() {
    this.#worker.postMessage({ type: "cancel" });
  }

  recover() {
    this.#worker.postMessage({ type: "recover" });
  }

  /** End the answer under way; its promise then resolves with `finish: "abort"`. */
  stop() {
    this.#worker.postMessage({ type: "stop" });
  }

  /**
   * Answer a conversation; `onText` gets each new piece of text.
   * Resolves with the "done" message; rejects with the "error" message.
   */
  chat(messages, options, onText) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject, onText });
      this.#worker.postMessage({ type: "chat", id, messages, options });
    });
  }

  #receive(message) {
    if (message.type === "delta") {
      this.#answers.get(message.id)?.onText(message.text);
    } else if (message.type === "done") {
      this.#take(message.id)?.resolve(message);
    } else if (message.type === "error" && message.during === "chat") {
      this.#take(message.id)?.reject(message);
    } else if (message.type === "error") {
      this.#abandon(message.message);
      this.dispatchEvent(new CustomEvent("problem", { detail: message }));
    } else {
      this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
    }
  }

  #take(id) {
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    return answer;
  }

  #abandon(message) {
    for (const { reject } of this.#answers.values()) reject({ kinds: ["StartError"], message });
    this.#answers.clear();
  }
}
