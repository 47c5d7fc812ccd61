// Counts, from outside, what a worker holds: buffers of the GPU, and WebAssembly's memory. It can
// also take the GPU away. Imported before whatever is watched.
//
// Messages from the page
//   {type: "watch"}          answered by {type: "watched", buffers, gpu, wasm, used, submits}, in
//                            bytes but for the first and the last; `used`: of `wasm`, by malloc
//   {type: "lose", at}       destroy the device at its submit after so many others

const held = new Map(); // buffers that nobody destroyed, and their devices
const devices = new Map(); // by their queues
let python = null; // what Pyodide's main module exports
let submits = 0;
let fuse = -1;

function wrap(owner, name, around) {
  const original = owner[name];
  owner[name] = function (...values) {
    return around.call(this, (...given) => original.apply(this, given), ...values);
  };
}

function forget(device) {
  for (const [buffer, its] of held) if (its === device) held.delete(buffer);
  devices.delete(device.queue);
}

wrap(GPUDevice.prototype, "createBuffer", function (create, descriptor) {
  const buffer = create(descriptor);
  if (!devices.has(this.queue)) {
    devices.set(this.queue, this);
    this.lost.then(() => forget(this));
  }
  held.set(buffer, this);
  return buffer;
});
wrap(GPUBuffer.prototype, "destroy", function (destroy) {
  held.delete(this);
  destroy();
});
wrap(GPUDevice.prototype, "destroy", function (destroy) {
  forget(this);
  destroy();
});
wrap(GPUQueue.prototype, "submit", function (submit, commands) {
  submits += 1;
  if (fuse-- === 0) devices.get(this)?.destroy();
  submit(commands);
});
for (const name of ["instantiate", "instantiateStreaming"]) {
  wrap(WebAssembly, name, async (instantiate, ...values) => {
    const made = await instantiate(...values);
    const { exports } = made.instance ?? made;
    if (exports.mallinfo && exports.memory) python = exports;
    return made;
  });
}

// C's struct mallinfo has ten ints, of which the eighth is the bytes in use.
function used() {
  const place = python.malloc(40);
  python.mallinfo(place);
  const found = new Uint32Array(python.memory.buffer, place, 10)[7];
  python.free(place);
  return found;
}

self.addEventListener("message", (event) => {
  const { type, at } = event.data;
  if (type !== "watch" && type !== "lose") return;
  event.stopImmediatePropagation();
  if (type === "lose") {
    fuse = at;
    return;
  }
  let gpu = 0;
  for (const buffer of held.keys()) gpu += buffer.size;
  const wasm = python.memory.buffer.byteLength;
  self.postMessage({ type: "watched", buffers: held.size, gpu, wasm, used: used(), submits });
});
