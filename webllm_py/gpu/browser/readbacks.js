// Read-backs of replay.js: reuses staging buffers, and calls back with the bytes. The text is one expression:
// the class.
(() => {
  const LOSS_TIMEOUT = 100; // ms to wait for the reason of a device's loss
  // Up to so many bytes go to Python as a string: a proxy of an array takes 50 us to make and to read.
  const SHORT = 1024;
  const UNIT = 256; // bytes; staging buffers of a few sizes serve reads of all

  return class ReadBacks {
    // `lost`: why the device is lost; empty while it is not.
    constructor(device, clock, nudge, lost) {
      this.device = device;
      this.clock = clock;
      this.nudge = nudge;
      this.lost = lost;
      this.pools = new Map();
      this.hear(() => {}, () => {});
    }

    // The callbacks of `tell`. Both take the number of the read-back; then `take` its bytes, an array or a string
    // of characters up to 255, and `fail` its error.
    hear(take, fail) {
      this.take = take;
      this.fail = fail;
    }

    // A buffer of at least `size` bytes to copy to and then to wait for.
    staging(size) {
      const rounded = Math.ceil(size / UNIT) * UNIT;
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      return this.pools.get(rounded)?.pop() ?? this.device.createBuffer({ size: rounded, usage });
    }

    // Call back when the first `size` bytes are there, never before this returns. `keep`: whether the staging buffer
    // is kept for a later read.
    tell(number, staging, size, keep) {
      const take = (bytes) => this.take(number, bytes.length > SHORT ? bytes : String.fromCharCode.apply(null, bytes));
      this.wait(staging, size, keep, take, (error) => this.fail(number, error));
    }

    bytes(staging, size, keep) {
      return new Promise((resolve, reject) => this.wait(staging, size, keep, resolve, reject));
    }

    wait(staging, size, keep, take, fail) {
      const copied = () => {
        const bytes = new Uint8Array(staging.getMappedRange(0, size)).slice();
        staging.unmap();
        if (keep) this.give(staging);
        else staging.destroy();
        return bytes;
      };
      const failed = ({ message }) => {
        const [name, why] = this.lost() ? ["DeviceLost", this.lost()] : ["DeviceError", `reading back failed: ${message}`];
        fail(Object.assign(new Error(why), { name }));
      };
      // When a device is lost, its mappings fail before `lost` resolves, which it may never do.
      const lossKnown = () => Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, LOSS_TIMEOUT))]);
      this.nudge.during(staging.mapAsync(GPUMapMode.READ)).then(
        () => take(this.clock.timed(copied)), // Python counts its own time
        (error) => lossKnown().then(() => this.clock.timed(() => failed(error))),
      );
    }

    give(staging) {
      const pool = this.pools.get(staging.size);
      if (pool) pool.push(staging);
      else this.pools.set(staging.size, [staging]);
    }

    close() {
      this.hear(() => {}, () => {});
      for (const pool of this.pools.values()) pool.forEach((staging) => staging.destroy());
      this.pools.clear();
    }
  };
})();
