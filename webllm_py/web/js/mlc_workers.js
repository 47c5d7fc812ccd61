// WebLLM's engines whose models live in workers that the page made. Here Python has a worker of its
// own in the page that asks, whoever else has one: the page's are left idle.

import { MLCEngine } from "./mlc_engine.js";

export class WebWorkerMLCEngine extends MLCEngine {
  constructor(worker, engineConfig) {
    super(engineConfig);
  }
}

export class ServiceWorkerMLCEngine extends MLCEngine {
  /** Nothing has to be kept alive. */
  missedHeartbeat = 0;
}

export class ExtensionServiceWorkerMLCEngine extends MLCEngine {}

export async function CreateWebWorkerMLCEngine(worker, modelId, engineConfig, chatOpts) {
  return loaded(new WebWorkerMLCEngine(worker, engineConfig), modelId, chatOpts);
}

export async function CreateServiceWorkerMLCEngine(modelId, engineConfig, chatOpts) {
  return loaded(new ServiceWorkerMLCEngine(engineConfig), modelId, chatOpts);
}

export async function CreateExtensionServiceWorkerMLCEngine(modelId, engineConfig, chatOpts) {
  const { extensionId, onDisconnect, ...config } = engineConfig ?? {};
  return loaded(new ExtensionServiceWorkerMLCEngine(config), modelId, chatOpts);
}

/** What a worker's script makes of itself. */
class Idle {
  onmessage() {}
  setPort() {}
}

export class WebWorkerMLCEngineHandler extends Idle {}
export class ServiceWorkerMLCEngineHandler extends Idle {}
export class ExtensionServiceWorkerMLCEngineHandler extends Idle {}

async function loaded(engine, modelId, chatOpts) {
  await engine.reload(modelId, chatOpts);
  return engine;
}
