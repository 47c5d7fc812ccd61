// WebLLM's engines whose models live in workers that the page made. Here Python has a worker of its
// own in the page that asks, whoever else has one: the page's are left idle, but for logit processors
// that a worker's handler has.

import { MLCEngine } from "./mlc_engine.js";
import { UnsupportedFieldsError, WorkerEngineModelNotLoadedError } from "./mlc_errors.js";
import { answerWith, processorsIn, REGISTERED } from "./mlc_processors.js";

export class WebWorkerMLCEngine extends MLCEngine {
  static NotLoaded = WorkerEngineModelNotLoadedError;
  #processors = null;

  constructor(worker, engineConfig) {
    super(engineConfig);
    this.worker = worker;
  }

  async [REGISTERED]() {
    this.#processors ??= processorsIn(this.worker);
    return new Map([...(await this.#processors), ...(await super[REGISTERED]())]);
  }
}

export class ServiceWorkerMLCEngine extends WebWorkerMLCEngine {
  /** Nothing has to be kept alive. */
  missedHeartbeat = 0;

  constructor(engineConfig) {
    super(null, engineConfig);
  }
}

export class ExtensionServiceWorkerMLCEngine extends ServiceWorkerMLCEngine {}

export async function CreateWebWorkerMLCEngine(worker, modelId, engineConfig, chatOpts) {
  return loaded(new WebWorkerMLCEngine(worker, engineConfig), modelId, chatOpts);
}

export async function CreateServiceWorkerMLCEngine(modelId, engineConfig, chatOpts) {
  return loaded(new ServiceWorkerMLCEngine(engineConfig), modelId, chatOpts);
}

export async function CreateExtensionServiceWorkerMLCEngine(modelId, engineConfig, chatOpts) {
  return loaded(new ExtensionServiceWorkerMLCEngine(engineConfig), modelId, chatOpts);
}

/** What a worker's script makes of itself. */
export class WebWorkerMLCEngineHandler {
  #registry = new Map();

  /** `engine`: one that has logit processors, as older pages give it. */
  constructor(engine) {
    this.setLogitProcessorRegistry(engine?.logitProcessorRegistry);
  }

  setLogitProcessorRegistry(registry) {
    this.#registry = registry ?? new Map();
  }

  onmessage(event) {
    answerWith(this.#registry, event);
  }
}

export class ServiceWorkerMLCEngineHandler {
  setLogitProcessorRegistry(registry) {
    if (!registry?.size) return;
    throw new UnsupportedFieldsError(
      "logitProcessorRegistry: a service worker may end between two tokens. Give it to the page's engine.",
    );
  }

  onmessage() {}
  setPort() {}
}

export class ExtensionServiceWorkerMLCEngineHandler extends ServiceWorkerMLCEngineHandler {}

async function loaded(engine, modelId, chatOpts) {
  await engine.reload(modelId, chatOpts);
  return engine;
}
