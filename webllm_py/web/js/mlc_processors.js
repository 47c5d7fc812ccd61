// WebLLM's logit processors, {processLogits, processSampledToken, resetState}, as a request takes them.

/** What an engine gives its logit processors by, to its own parts alone. */
export const REGISTERED = Symbol("logit processors");

/**
 * A model's processor for one request. Its state is reset where an answer does not go on with the
 * conversation of the one before.
 *
 * `goesOn`: whether the first answer does; `onToken` is called with each token.
 */
export function processorOf(registered, goesOn, onToken = () => {}) {
  let isFirst = true;
  const process = (logits) => registered?.processLogits(logits) ?? logits;
  return Object.assign(process, {
    accept(token) {
      onToken(token);
      registered?.processSampledToken(token);
    },
    reset() {
      if (!isFirst || !goesOn()) registered?.resetState();
      isFirst = false;
    },
  });
}

/** What of a conversation tells whether a request goes on with it. */
export function saidIn(messages) {
  return messages.map(({ role, content }) => [role, content]);
}

/** Whether messages are a conversation and one more; who asks first of all begins anew. */
export function goesOnWith(said, messages) {
  const before = saidIn(messages.slice(0, -1));
  const isNew = before.every(([role]) => role === "system");
  return !isNew && JSON.stringify(before) === JSON.stringify(said);
}

const KIND = "webllm_py logit processors";
const PATIENCE = 20_000; // ms for a worker's script to answer

/** Those that a worker's handler has, by models' ids; none where no handler answers. */
export async function processorsIn(worker) {
  if (typeof worker?.postMessage !== "function") return new Map();
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ kind: KIND }, [port2]);
  const ids = await new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data.ids);
    worker.addEventListener?.("error", () => resolve([]), { once: true });
    setTimeout(resolve, PATIENCE, []);
  });
  if (!ids.length) port1.close();
  const waiting = new Map(); // by id: a model's answers wait one for the other
  port1.onmessage = ({ data: { id, logits, error } }) => {
    const { resolve, reject } = waiting.get(id);
    if (logits) resolve(logits);
    else reject(error);
  };
  const distant = (id) => ({
    processLogits: (logits) =>
      new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        port1.postMessage({ id, logits });
      }),
    processSampledToken: (token) => port1.postMessage({ id, token }),
    resetState: () => port1.postMessage({ id, begins: true }),
  });
  return new Map(ids.map((id) => [id, distant(id)]));
}

/** In the worker: answer `processorsIn`; whether a message was that. */
export function answerWith(registry, { data, ports } = {}) {
  if (data?.kind !== KIND) return false;
  const [port] = ports;
  port.onmessage = async ({ data: { id, logits, token } }) => {
    const processor = registry.get(id);
    if (token !== undefined) return processor.processSampledToken(token);
    if (!logits) return processor.resetState();
    try {
      port.postMessage({ id, logits: await processor.processLogits(logits) });
    } catch (error) {
      port.postMessage({ id, error });
    }
  };
  port.postMessage({ ids: [...registry.keys()] });
  return true;
}
