// What device.py calls: WebGPU objects behind integer ids, plans replayed in one call.
// The text is one expression (pyodide.code.run_js gives its value): a function of the classes in host_clock.js,
// nudge.js, readbacks.js and shaders.js.
// Errors carry a `name` that errors.py turns into the package's own error.
((HostClock, Nudge, ReadBacks, Shaders) => {
  const named = (name, message) => Object.assign(new Error(message), { name });
  const LIMITS = [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxComputeWorkgroupStorageSize",
    "maxComputeInvocationsPerWorkgroup",
    "maxComputeWorkgroupSizeX",
    "maxComputeWorkgroupsPerDimension",
  ];
  // Each submit has a fixed cost, but the GPU starts only when all of it is encoded.
  const REPLAYS_PER_SUBMIT = 4;
  // Submits of a plan that is replayed in parts.
  const PARTS = 8;
  const FEATURES = ["shader-f16", "subgroups", "timestamp-query", "chromium-experimental-subgroup-matrix"];
  const LANGUAGE_FEATURES = ["packed_4x8_integer_dot_product"];

  class GpuDevice {
    constructor(adapter, device) {
      this.adapter = adapter;
      this.device = device;
      this.clock = new HostClock();
      this.nudge = new Nudge(device, this.clock);
      this.buffers = new Map();
      this.pipelines = new Map();
      this.shaders = new Shaders(device, () => this.throwIfLost());
      this.plans = new Map();
      this.readBacks = new ReadBacks(device, this.clock, this.nudge, () => this.lost);
      this.nextId = 1;
      this.lost = "";
      this.errors = [];
      this.scopes = [];
      this.submits = 0;
      device.lost.then((info) => {
        this.lost = `${info.reason || "unknown"}: ${info.message || "no reason given"}`;
      });
      device.onuncapturederror = (event) => this.errors.push({ name: "DeviceError", message: event.error.message });
    }

    describe() {
      const { info, limits } = this.adapter;
      const language = globalThis.navigator.gpu.wgslLanguageFeatures;
      const numbers = Object.fromEntries([...LIMITS, "maxStorageBuffersPerShaderStage"].map((name) => [name, this.device.limits[name]]));
      return {
        name: info.description || info.device || info.architecture || info.vendor || "unknown GPU",
        vendor: info.vendor || "",
        architecture: info.architecture || "",
        features: [...this.device.features, ...LANGUAGE_FEATURES.filter((name) => language?.has(name))],
        nudged: this.nudge.helps,
        subgroupMinSize: info.subgroupMinSize || 0,
        isFallback: Boolean(info.isFallbackAdapter ?? this.adapter.isFallbackAdapter) || /swiftshader|llvmpipe/i.test(`${info.architecture} ${info.description}`),
        adapterBufferLimit: limits.maxBufferSize,
        limits: numbers,
      };
    }

    createBuffer(label, size, extraUsage = 0) {
      this.throwIfLost();
      const { device } = this;
      const id = this.nextId++;
      device.pushErrorScope("out-of-memory");
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC | extraUsage;
      this.buffers.set(id, device.createBuffer({ label, size, usage }));
      this.scopes.push(
        device.popErrorScope().then((error) => {
          if (error) this.errors.push({ name: "OutOfMemory", message: `'${label}' (${(size / 2 ** 20).toFixed(1)} MiB)`, size });
        }, () => {}),
      );
      return id;
    }

    destroyBuffer(id) {
      this.buffers.get(id)?.destroy();
      this.buffers.delete(id);
    }

    // A buffer becomes another one, in what is recorded as well: a plan's bind groups are made again when it is used.
    replaceBuffer(id, other) {
      this.buffers.get(id).destroy();
      this.buffers.set(id, this.buffers.get(other));
      this.buffers.delete(other);
      for (const plan of this.plans.values()) plan.replaced.add(id);
    }

    // `data`: a Uint8Array, or a Python object with the buffer protocol. Any length.
    write(id, offset, data) {
      this.throwIfLost();
      const view = data instanceof Uint8Array ? null : data.getBuffer("u8");
      const bytes = view ? view.data : data;
      try {
        const whole = bytes.byteLength & ~3;
        const { queue } = this.device;
        const buffer = this.buffers.get(id);
        if (whole) queue.writeBuffer(buffer, offset, bytes, 0, whole);
        if (whole < bytes.byteLength) {
          const rest = new Uint8Array(4);
          rest.set(bytes.subarray(whole));
          queue.writeBuffer(buffer, offset + whole, rest);
        }
      } finally {
        view?.release();
      }
    }

    submit(encode) {
      this.throwIfLost();
      const encoder = this.device.createCommandEncoder();
      encode(encoder);
      this.device.queue.submit([encoder.finish()]);
      this.submits += 1;
    }

    copy(source, target, size) {
      this.submit((encoder) => encoder.copyBufferToBuffer(this.buffers.get(source), 0, this.buffers.get(target), 0, size));
    }

    clear(id) {
      this.submit((encoder) => encoder.clearBuffer(this.buffers.get(id)));
    }

    // Send Python the bytes of buffer `id` as they are after the work queued so far, see readbacks.js.
    readTelling(number, id, offset, size, keep) {
      this.replayTelling(number, 0, 0, id, offset, size, keep);
    }

    // Replay a plan, and then read within its last submit.
    replayTelling(number, plan, times, id, offset, size, keep) {
      const staging = this.readBacks.staging(size);
      const copy = (encoder) => encoder.copyBufferToBuffer(this.buffers.get(id), offset, staging, 0, size);
      if (times) this.replay(plan, times, copy);
      else this.submit(copy);
      this.readBacks.tell(number, staging, size, keep);
    }

    read(id, offset, size, keep) {
      const staging = this.readBacks.staging(size);
      this.submit((encoder) => encoder.copyBufferToBuffer(this.buffers.get(id), offset, staging, 0, size));
      return this.readBacks.bytes(staging, size, keep);
    }

    async compile(label, text, access, constantNames, constantValues) {
      this.throwIfLost();
      const constants = Object.fromEntries(constantNames.map((name, i) => [name, constantValues[i]]));
      const pipeline = await this.shaders.compile(label, text, access, constants);
      const id = this.nextId++;
      this.pipelines.set(id, { pipeline, access });
      return id;
    }

    // Recorded plans keep using it.
    dropPipeline(id) {
      this.pipelines.delete(id);
    }

    // `words`, for each dispatch: pipeline, x, y, z, number of bindings, then binding and buffer in turn.
    record(words) {
      const view = words.getBuffer("i32");
      const list = view.data;
      const steps = [];
      for (let at = 0; at < list.length; ) {
        const [pipelineId, x, y, z, count] = list.subarray(at, at + 5);
        at += 5;
        const bound = []; // binding and buffer
        for (let i = 0; i < count; i++, at += 2) bound.push([list[at], list[at + 1]]);
        steps.push(this.bind({ ...this.pipelines.get(pipelineId), bound, x, y, z }));
      }
      view.release();
      const id = this.nextId++;
      this.plans.set(id, { steps, replaced: new Set() });
      return id;
    }

    // With the buffers as they are.
    stepsOf(id) {
      const { steps, replaced } = this.plans.get(id);
      if (replaced.size) {
        for (const step of steps) if (step.bound.some(([, bufferId]) => replaced.has(bufferId))) this.bind(step);
        replaced.clear();
      }
      return steps;
    }

    bind(step) {
      const entries = step.bound.map(([binding, id]) => ({ binding, resource: { buffer: this.buffers.get(id) } }));
      step.group = this.device.createBindGroup({ layout: this.shaders.layout(step.access), entries });
      return step;
    }

    dropPlan(id) {
      this.plans.delete(id);
    }

    // `last`: encodes more into the last submit.
    replay(id, times, last) {
      this.throwIfLost();
      const steps = this.stepsOf(id);
      for (let left = times; left > 0; left -= REPLAYS_PER_SUBMIT) {
        this.submitSteps(steps, Math.min(REPLAYS_PER_SUBMIT, left), left > REPLAYS_PER_SUBMIT ? undefined : last);
      }
    }

    // A browser encodes a submit without interruption, and tells of read-backs that have come meanwhile only
    // afterwards: a long submit delays those who wait for one.
    replayInParts(id) {
      this.throwIfLost();
      const steps = this.stepsOf(id);
      const size = Math.ceil(steps.length / PARTS);
      for (let first = 0; first < steps.length; first += size) this.submitSteps(steps.slice(first, first + size), 1);
    }

    submitSteps(steps, times, last) {
      this.submit((encoder) => {
        const pass = encoder.beginComputePass();
        let bound = null;
        for (let time = 0; time < times; time++) {
          for (const { pipeline, group, x, y, z } of steps) {
            if (pipeline !== bound) pass.setPipeline((bound = pipeline));
            pass.setBindGroup(0, group);
            pass.dispatchWorkgroups(x, y, z);
          }
        }
        pass.end();
        last?.(encoder);
      });
    }

    // Each dispatch, `repeats` times over, in a pass of its own.
    profile(id, repeats) {
      return this.timed(this.stepsOf(id).map((step) => [step]), repeats);
    }

    // Each plan in a pass of its own.
    timePlans(ids) {
      return this.timed(ids.map((id) => this.stepsOf(id)), 1);
    }

    // The times before and after each pass, two uint64 of ns a pass.
    async timed(passes, repeats) {
      const count = 2 * passes.length;
      const querySet = this.device.createQuerySet({ type: "timestamp", count });
      const resolved = this.createBuffer("timestamps", 8 * count, GPUBufferUsage.QUERY_RESOLVE);
      try {
        this.submit((encoder) => {
          passes.forEach((steps, i) => {
            const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
            const pass = encoder.beginComputePass({ timestampWrites });
            for (const { pipeline, group, x, y, z } of steps) {
              pass.setPipeline(pipeline);
              pass.setBindGroup(0, group);
              for (let time = 0; time < repeats; time++) pass.dispatchWorkgroups(x, y, z);
            }
            pass.end();
          });
          encoder.resolveQuerySet(querySet, 0, count, this.buffers.get(resolved), 0);
        });
        return await this.read(resolved, 0, 8 * count, false);
      } finally {
        this.destroyBuffer(resolved);
        querySet.destroy();
      }
    }

    async idle() {
      this.throwIfLost();
      await this.nudge.during(this.device.queue.onSubmittedWorkDone());
      this.throwIfLost();
    }

    async check() {
      await Promise.all(this.scopes.splice(0));
      this.throwIfLost();
      const error = this.errors.find(({ name }) => name === "OutOfMemory") ?? this.errors[0];
      if (!error) return;
      // Using a buffer that could not be created causes more errors, still on their way: they belong to this check.
      await this.nudge.during(this.device.queue.onSubmittedWorkDone());
      const nbytes = this.errors.reduce((sum, { size }) => sum + (size ?? 0), 0);
      this.errors.length = 0;
      throw Object.assign(named(error.name, error.message), { nbytes });
    }

    throwIfLost() {
      if (this.lost) throw named("DeviceLost", this.lost);
    }

    close() {
      this.readBacks.close();
      this.shaders.close();
      for (const buffer of this.buffers.values()) buffer.destroy();
      for (const table of [this.buffers, this.pipelines, this.plans]) table.clear();
      this.lost ||= "closed: the engine was unloaded";
      this.device.destroy();
    }
  }

  async function open(powerPreference) {
    const gpu = globalThis.navigator?.gpu;
    if (!gpu) throw named("NoAdapter", "this browser does not offer WebGPU here (navigator.gpu is missing)");
    const adapter = await gpu.requestAdapter({ powerPreference });
    if (!adapter) throw named("NoAdapter", "the browser has WebGPU, but offers no GPU adapter");
    const device = await adapter.requestDevice({
      requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
      requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
    });
    const opened = new GpuDevice(adapter, device);
    await opened.nudge.measure().catch(() => {}); // an error of the device shows up again at its first use
    return opened;
  }

  return { open };
});
