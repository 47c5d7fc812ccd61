// Makes waiting for the GPU quick in a browser that looks for finished work only at intervals, and at
// every submit: Firefox takes 100 ms to read four bytes back, and 1 ms while empty submits come along.
// One expression, as replay.js is: the class.
(() => {
  // A read-back that takes longer than PATIENCE, and then no longer than SOON once nudged, was held up (ms).
  const PATIENCE = 30;
  const SOON = 20;
  const TRIES = 5;
  const PERIOD = 1;

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

    // Find out whether it helps. The device must have nothing to do. Where it does not, this takes as
    // long as two read-backs of four bytes.
    async measure() {
      const staging = this.device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      try {
        for (let i = 0; i < TRIES && !this.helps; i++) {
          await this.readBack(staging); // from here to the browser's next look it is a whole interval
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

    // What the device promised, without delay.
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
