// Errors of WebLLM's that are about its engine. What goes wrong behind it is told by the package's own.

import { FieldsError, define } from "./errors.js";

const names = [
  "EngineNotLoadedError",
  "ModelNotFoundError",
  "ReloadArgumentSizeUnmatchedError",
  "ReloadModelIdNotUniqueError",
  "SpecifiedModelNotFoundError",
  "UnclearModelToUseError",
  "UnsupportedFieldsError",
  "WindowSizeConfigurationError",
];
export const {
  EngineNotLoadedError,
  ModelNotFoundError,
  ReloadArgumentSizeUnmatchedError,
  ReloadModelIdNotUniqueError,
  SpecifiedModelNotFoundError,
  UnclearModelToUseError,
  UnsupportedFieldsError,
  WindowSizeConfigurationError,
} = Object.fromEntries(names.map((name) => [name, define(name, FieldsError)]));
