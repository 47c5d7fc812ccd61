// The page's engine: one job at a time, each of which becomes a promise of how that ended.

import { StorageFullError } from "../pyodide/webllm_py.js";
import { onProgress, starting } from "./start.mjs";

const STREAMED = { stream: true, stream_options: { include_usage: true } };

/**
 * Each job (a load or an answer) is a promise of an object with a `type`; it is never rejected. A new
 * job ends the one before it and begins when that is over.
 *
 *   {type: "loaded", info}              a model answers from now on
 *   {type: "done", finish, usage, timings, info}
 *   {type: "cancelled", left}           of an answer no text is left
 *   {type: "error", during, kinds, message, left}   during: "start" | "load" | "chat"; kinds: the
 *                                       error's class and its bases, most special first
 *
 * `left`: after a load, the info of the model before if that is still there, else null.
 *
 * Events: "progress" while Python starts, "started", and "failed" with an "error" when the worker is
 * of no use from then on.
 */
export class Engine extends EventTarget {
  #starting = null;
  #engine = null; // once it is up
  #job = null;

  start() {
    this.#starting = this.#start();
    this.#starting.catch((error) => this.#tell("failed", failure("start", error)));
  }

  /** Load a model instead of the present one. */
  load(model, contextLength, onProgress) {
    return this.#begin("load", async (engine, { signal }) => {
      const options = { contextLength, onProgress, signal };
      try {
        return { type: "loaded", info: await engine.load(model, options) };
      } catch (error) {
        if (!(error instanceof StorageFullError)) throw error;
        // A page's visitor wants to chat first of all.
        const info = await engine.load(model, { ...options, fetch: { keep: false } });
        return { type: "loaded", info };
      }
    });
  }

  /** Load the same model again, on a new GPU device. */
  recover(onProgress) {
    return this.#begin("load", async (engine, { signal }) => {
      return { type: "loaded", info: await engine.recover({ onProgress, signal }) };
    });
  }

  /** Answer a conversation; `onThought` and `onText` get each new piece of reasoning and text. */
  chat(messages, options, onThought, onText) {
    const request = { messages, ...options, ...STREAMED };
    return this.#answer(onThought, onText, (engine, job) => engine.chat.completions.create(request, job));
  }

  /** Answer from documents; `onSources` gets the passages that the model is shown. */
  ask(question, options, onSources, onThought, onText) {
    return this.#answer(onThought, onText, async (engine, job) => {
      const { stream_options } = STREAMED;
      const answer = await (await this.documents).ask(question, { ...options, stream_options }, job);
      onSources(answer.sources);
      return answer;
    });
  }

  /** The models that are kept, once Python is up: a promise. */
  get store() {
    return this.#starting.then((engine) => engine.store);
  }

  /** The page's documents, once Python is up: a promise. What they do is no job. */
  get documents() {
    return this.#starting.then((engine) => engine.documents("page"));
  }

  /** End the job under way: a load is undone, of an answer stands what was said so far. */
  stop() {
    if (this.#job?.isHeard) this.#engine.interrupt();
    else this.#job?.abort(); // before its turn the engine would not know what to interrupt
  }

  async #start() {
    onProgress((progress) => this.#tell("progress", progress));
    this.#engine = await starting;
    this.#tell("started", await this.#engine.started);
    return this.#engine;
  }

  #answer(onThought, onText, ask) {
    return this.#begin("chat", async (engine, job) => {
      const clock = new Clock();
      let usage, finish;
      for await (const chunk of await ask(engine, job)) {
        job.isHeard = true;
        usage = chunk.usage ?? usage;
        for (const { delta, finish_reason } of chunk.choices) {
          finish = finish_reason ?? finish;
          if (delta.reasoning_content) onThought(delta.reasoning_content);
          if (delta.content) onText(delta.content);
          if (delta.reasoning_content || delta.content) clock.tick();
        }
      }
      const counts = counted(usage);
      const timings = clock.timings(counts.completion_tokens);
      return { type: "done", finish, usage: counts, timings, info: await engine.info() };
    });
  }

  #begin(during, work) {
    this.stop();
    const before = this.#job?.over;
    const job = new AbortController(); // with its signal, as what is asked of the engine takes it
    this.#job = job;
    job.over = this.#run(job, before, during, work);
    return job.over;
  }

  async #run(job, before, during, work) {
    try {
      await before;
      const engine = await this.#starting;
      job.signal.throwIfAborted();
      return await work(engine, job);
    } catch (error) {
      const end = error === job.signal.reason ? { type: "cancelled" } : failure(during, error);
      if (during === "load") end.left = await this.#left(job);
      return end;
    } finally {
      if (this.#job === job) this.#job = null;
    }
  }

  /** Of a load that another one follows it does not matter. */
  async #left(job) {
    if (this.#job !== job) return null;
    return this.#engine?.info().catch(() => null) ?? null;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What a person at the page sees of an answer's speed. */
class Clock {
  #start = performance.now();
  #first = null;
  #last = null;

  tick() {
    this.#last = performance.now();
    this.#first ??= this.#last;
  }

  /** Seconds to the first text, then tokens a second. */
  timings(tokens) {
    if (this.#first === null) return { first_token: null, tokens_per_second: null };
    const span = (this.#last - this.#first) / 1000;
    return {
      first_token: (this.#first - this.#start) / 1000,
      tokens_per_second: span > 0 && tokens > 1 ? (tokens - 1) / span : null,
    };
  }
}

/** Zeros for an answer that was stopped before it began. */
function counted(usage) {
  return {
    prompt_tokens: usage?.prompt_tokens ?? 0,
    completion_tokens: usage?.completion_tokens ?? 0,
    cached_tokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

/** An "error" message of what went wrong. */
export function failure(during, error) {
  const kinds = new Set([error.name]);
  for (let kind = error; kind; kind = Object.getPrototypeOf(kind)) kinds.add(kind.name);
  return { type: "error", during, kinds: [...kinds], message: error.message };
}
