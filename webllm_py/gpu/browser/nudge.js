// Shortens waits for the GPU in a browser that looks for finished work only every so often and at every
// submit: Firefox takes 100 ms to read four bytes back, but 1 ms while empty submits are made.
// The text is one expression: the class.
(() => {
  // Nudging helps if a read-back takes longer than PATIENCE, but is there SOON after nudging begins (ms).
  const PATIENCE = 30;
  const SOON = 20;
  const TRIES = 5;
  const PERIOD = 1; // ms between empty submits

  const delay = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  return class Nudge {
    constructor(device, clock) {
      this.device = device;
      this.clock = clock;
      this.helps = false;
      this.waiting = 0;
      this.timer = 0;
      device.lost.then(() => {
        this.helps = false;
        clearInterval(this.timer); // whatever still waits may do so for ever
      });
    }

    // Find out whether nudging helps. The device must be idle. Where it does not help, this takes as long as two
    // read-backs of four bytes.
    async measure() {
      const staging = this.device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      try {
        for (let i = 0; i < TRIES && !this.helps; i++) {
          await this.readBack(staging); // the browser has just looked: its next look is a whole interval away
          const reading = this.readBack(staging);
          if (await Promise.race([reading.then(() => true), delay(PATIENCE)])) return;
          const since = performance.now();
          await this.nudging(reading);
          this.helps = performance.now() - since < SOON;
        }
      } finally {
        staging.destroy();
      }
    }

    async readBack(staging) {
      const encoder = this.device.createCommandEncoder();
      encoder.clearBuffer(staging);
      this.device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      staging.unmap();
    }

    // The device's promise, nudged where that helps.
    during(promise) {
      return this.helps ? this.nudging(promise) : promise;
    }

    async nudging(promise) {
      if (!this.waiting++) this.timer = setInterval(() => this.clock.timed(() => this.device.queue.submit([])), PERIOD);
      try {
        return await promise;
      } finally {
        if (!--this.waiting) clearInterval(this.timer);
      }
    }
  };
})();
