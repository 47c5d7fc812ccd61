// The page's side of the worker: what it is asked to do becomes a promise of how that ended.

const ENDS = new Set(["loaded", "done", "cancelled", "error"]);

/**
 * Each job (a load or an answer) is a promise of the worker's last message about it, see
 * worker.mjs; it is never rejected. A new job ends the one before it.
 *
 * Events, `detail` being the message: "progress" while Python starts, "started", and "failed" when
 * the worker is of no use from then on.
 */
export class Engine extends EventTarget {
  #worker = null;
  #jobs = new Map();
  #jobCount = 0;

  start() {
    if (!navigator.gpu) {
      this.#fail(startError("NoWebGPU", "navigator.gpu is not there."));
      return;
    }
    this.#worker = new Worker(new URL("../worker.mjs", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = ({ message }) =>
      this.#fail(startError("StartError", message || "The worker could not be started."));
  }

  /** Load a model instead of the present one; `onProgress` gets the "progress" messages. */
  load(source, contextLength, onProgress) {
    // Workers cannot ask that what they keep be kept; where a browser has to ask the user, it does.
    if (source.kind === "address") navigator.storage?.persist?.().catch(() => {});
    return this.#begin({ type: "load", source, contextLength }, onProgress);
  }

  /** Load the same model again, on a new GPU device. */
  recover(onProgress) {
    return this.#begin({ type: "recover" }, onProgress);
  }

  /** Answer a conversation; `onThought` and `onText` get each new piece of reasoning and text. */
  chat(messages, options, onThought, onText) {
    const onUpdate = ({ type, text }) => (type === "thought" ? onThought : onText)(text);
    return this.#begin({ type: "chat", messages, options }, onUpdate);
  }

  /** End the job under way. */
  stop() {
    this.#worker.postMessage({ type: "stop" });
  }

  #begin(request, onUpdate) {
    const id = ++this.#jobCount;
    this.#worker.postMessage({ ...request, id });
    return new Promise((end) => this.#jobs.set(id, { end, onUpdate }));
  }

  #receive(message) {
    const job = this.#jobs.get(message.id);
    if (!job && message.type === "error") {
      this.#fail(message);
    } else if (!job) {
      this.#tell(message.type, message);
    } else if (ENDS.has(message.type)) {
      this.#jobs.delete(message.id);
      job.end(message);
    } else {
      job.onUpdate(message);
    }
  }

  #fail(message) {
    this.#tell("failed", message);
    for (const { end } of this.#jobs.values()) end(message);
    this.#jobs.clear();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const startError = (kind, message) => ({ type: "error", during: "start", kinds: [kind], message });
