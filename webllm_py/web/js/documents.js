// A collection of documents in the worker: see webllm_py.d.ts, and webllm_py/web/document_actions.py.

export class Documents {
  /** `begin(fields, signal, given)` gives a job; `told(job, signal, onProgress)` its end. */
  #do;
  #told;
  #stream;

  constructor(begin, told, stream) {
    [this.#do, this.#told, this.#stream] = [begin, told, stream];
  }

  async list() {
    return this.#do({ action: "list" }).ended;
  }

  async add(name, content, { onProgress, signal } = {}) {
    const isText = typeof content === "string";
    const fields = { action: "add", name, ...(isText && { text: content }) };
    return this.#told(this.#do(fields, signal, isText ? undefined : content), signal, onProgress);
  }

  async remove(name) {
    return this.#do({ action: "remove", name }).ended;
  }

  async search(question, k = 5) {
    return this.#do({ action: "search", question, k }).ended;
  }

  async ask(question, fields = {}, { signal } = {}) {
    return this.#stream(this.#do({ ...fields, action: "ask", question }, signal), signal);
  }

  async use(embedder, { onProgress, signal, queryPrefix = "", passagePrefix = "" } = {}) {
    const fields = { action: "use", prefixes: [queryPrefix, passagePrefix] };
    return this.#told(this.#do(fields, signal, embedder ?? undefined), signal, onProgress);
  }
}
