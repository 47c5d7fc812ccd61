// Python's errors in JavaScript: a class for each of webllm_py/errors.py, by the same name and below
// the same base, with the same message and fields. errors.py says what each one means.

const classes = new Map();

function define(name, Base) {
  const Class = class extends Base {};
  Object.defineProperty(Class, "name", { value: name });
  Object.defineProperty(Class.prototype, "name", { value: name }); // a minifier leaves it
  classes.set(name, Class);
  return Class;
}

/** Base of every error that is raised on purpose. `fields` become properties. */
class Base extends Error {
  constructor(message, fields = {}) {
    super(message);
    Object.assign(this, fields);
  }
}

export const WebLLMError = define("WebLLMError", Base);

export const SourceError = define("SourceError", WebLLMError);
export const ChangedFileError = define("ChangedFileError", SourceError);
export const StorageFullError = define("StorageFullError", SourceError);

export const CheckpointError = define("CheckpointError", WebLLMError);
export const CorruptCheckpointError = define("CorruptCheckpointError", CheckpointError);
export const UnsupportedModelError = define("UnsupportedModelError", CheckpointError);
export const NotAModelError = define("NotAModelError", CheckpointError);
export const SeveralModelsError = define("SeveralModelsError", CheckpointError);
export const MissingFileError = define("MissingFileError", CheckpointError);
export const AdapterError = define("AdapterError", CheckpointError);

export const TokenizerError = define("TokenizerError", WebLLMError);
export const TemplateError = define("TemplateError", WebLLMError);
export const GrammarError = define("GrammarError", WebLLMError);
export const UnsupportedSchemaError = define("UnsupportedSchemaError", GrammarError);

export const DeviceError = define("DeviceError", WebLLMError);
export const NoAdapterError = define("NoAdapterError", DeviceError);
export const DeviceLimitError = define("DeviceLimitError", DeviceError);
export const GPUOutOfMemoryError = define("GPUOutOfMemoryError", DeviceError);
export const ShaderError = define("ShaderError", DeviceError);
export const DeviceLostError = define("DeviceLostError", DeviceError);

export const RequestError = define("RequestError", WebLLMError);
export const ContextLengthError = define("ContextLengthError", RequestError);
export const RequestTimeoutError = define("RequestTimeoutError", RequestError);

export const CancelledLoadError = define("CancelledLoadError", WebLLMError);
export const EngineClosedError = define("EngineClosedError", WebLLMError);
export const StateError = define("StateError", WebLLMError);
export const MissingPackageError = define("MissingPackageError", WebLLMError);
export const CannotSuspendError = define("CannotSuspendError", WebLLMError);

export const ServerError = define("ServerError", WebLLMError);
export const AddressError = define("AddressError", ServerError);
export const QueueFullError = define("QueueFullError", ServerError);
export const SlowReaderError = define("SlowReaderError", ServerError);

/** Python could not be started in the worker. The one error that Python does not know. */
export const StartError = define("StartError", WebLLMError);

/**
 * The error that the worker describes: `names` of its class and of that one's bases (a class that
 * is not known here becomes the nearest base), `message`, `fields`. A defect is an `Error` of its name.
 */
export function errorFrom({ names, message, fields = {} }) {
  const Class = classes.get(names.find((name) => classes.has(name)));
  return Class ? new Class(message, fields) : Object.assign(new Error(message), { name: names[0] });
}
