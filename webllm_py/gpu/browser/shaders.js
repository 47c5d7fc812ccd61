// Compiles kernels for replay.js. The text is one expression: the class.
(() => {
  // The compiler's lines, each with the source around it.
  function explain(messages, text) {
    const source = text.split("\n");
    return messages
      .filter((m) => m.type === "error")
      .map((m) => {
        const from = Math.max(0, m.lineNum - 3);
        const around = source.slice(from, m.lineNum + 2).map((line, i) => `${from + i + 1 === m.lineNum ? ">" : " "} ${from + i + 1}: ${line}`);
        return `line ${m.lineNum}: ${m.message}\n${around.join("\n")}`;
      })
      .join("\n");
  }

  return class Shaders {
    // `throwIfLost`: throws why the device is lost, if it is.
    constructor(device, throwIfLost) {
      this.device = device;
      this.throwIfLost = throwIfLost;
      this.layouts = new Map();
    }

    // `access`: the bindings in order, as "0r 1r 4w".
    layout(access) {
      if (!this.layouts.has(access)) {
        const entries = access.split(" ").map((word) => ({
          binding: parseInt(word, 10),
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: word.endsWith("w") ? "storage" : "read-only-storage" },
        }));
        this.layouts.set(access, this.device.createBindGroupLayout({ entries }));
      }
      return this.layouts.get(access);
    }

    async compile(label, text, access, constants) {
      const { device } = this;
      device.pushErrorScope("validation");
      const module = device.createShaderModule({ label, code: text });
      const layout = device.createPipelineLayout({ bindGroupLayouts: [this.layout(access)] });
      const scope = device.popErrorScope();
      try {
        const pipeline = await device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: "main", constants } });
        await scope;
        return pipeline;
      } catch (error) {
        await Promise.race([device.lost, scope.catch(() => {})]);
        this.throwIfLost();
        const scoped = await scope;
        const lines = explain((await module.getCompilationInfo()).messages, text);
        const message = `kernel ${label} did not compile: ${lines || scoped?.message || error.message}`;
        throw Object.assign(new Error(message), { name: "ShaderError" });
      }
    }

    close() {
      this.layouts.clear();
    }
  };
})();
