// WebLLM's interface (@mlc-ai/web-llm) over this package's engine: a page that was written for WebLLM
// imports this instead. What web_llm.d.ts describes is all there is.
//
//   import { CreateMLCEngine } from "./pyodide/web_llm.js";
//   const engine = await CreateMLCEngine("Qwen3-0.6B-q4f16_1-MLC", { initProgressCallback: say });
//
// Models are the same MLC folders, and any other address; compiled libraries are not fetched. Python
// runs in a worker of its own, whichever of WebLLM's engines is created.

export * from "./js/mlc_engine.js";
export * from "./js/mlc_errors.js";
export { isValidSRI, verifyIntegrity } from "./js/mlc_integrity.js";
export {
  deleteChatConfigInCache,
  deleteModelAllInfoInCache,
  deleteModelInCache,
  deleteModelWasmInCache,
  functionCallingModelIds,
  hasModelInCache,
  modelLibURLPrefix,
  ModelType,
  modelVersion,
  prebuiltAppConfig,
} from "./js/mlc_models.js";
export * from "./js/mlc_workers.js";
