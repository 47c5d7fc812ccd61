// Python's start. A script of its own, as it takes longest: it waits for nothing else of the page.

import { createEngine } from "../pyodide/webllm_py.js";

let tell = () => {};

/** A promise of the engine, without a model. */
export const starting = navigator.gpu
  ? createEngine({ model: null, onProgress: (progress) => tell(progress) })
  : Promise.reject(Object.assign(new Error("navigator.gpu is not there."), { name: "NoWebGPU" }));

starting.catch(() => {}); // who asks for it hears of it

/** Hear of the start's progress from now on. */
export function onProgress(listener) {
  tell = listener;
}
