// Errors of WebLLM's, by its names: those that are about its engine, and what the package's own are
// called there. All others are the package's own.

import { ContextLengthError, NoAdapterError, RequestError } from "./error_classes.js";
import { FieldsError, define } from "./errors.js";

export { IntegrityError } from "./error_classes.js";

const names = [
  "ModelNotFoundError",
  "ModelNotLoadedError",
  "ReloadArgumentSizeUnmatchedError",
  "ReloadModelIdNotUniqueError",
  "SpecifiedModelNotFoundError",
  "UnclearModelToUseError",
  "UnsupportedFieldsError",
  "WindowSizeConfigurationError",
  "WorkerEngineModelNotLoadedError",
];
export const {
  ModelNotFoundError,
  ModelNotLoadedError,
  ReloadArgumentSizeUnmatchedError,
  ReloadModelIdNotUniqueError,
  SpecifiedModelNotFoundError,
  UnclearModelToUseError,
  UnsupportedFieldsError,
  WindowSizeConfigurationError,
  WorkerEngineModelNotLoadedError,
} = Object.fromEntries(names.map((name) => [name, define(name, FieldsError)]));

export const ContextWindowSizeExceededError = define("ContextWindowSizeExceededError", ContextLengthError);
export const EmbeddingUnsupportedModelError = define("EmbeddingUnsupportedModelError", RequestError);
export const IncorrectPipelineLoadedError = define("IncorrectPipelineLoadedError", RequestError);
export const WebGPUNotAvailableError = define("WebGPUNotAvailableError", NoAdapterError);
