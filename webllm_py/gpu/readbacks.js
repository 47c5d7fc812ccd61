// Read-backs of replay.js: staging buffers kept for reuse, and whom to tell of bytes. One expression, as
// that is: the class.
(() => {
  const TELLING = 100; // milliseconds that a device has to tell that it is lost
  // Bytes that Python gets as a string: what stands for an array in Python takes 50 us to make and to read.
  const SHORT = 1024;

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

    // Who is told, by `tell`: of bytes, as an array or a string of characters up to 255, and of what went
    // wrong; each with the number that it was given.
    hear(take, fail) {
      this.take = take;
      this.fail = fail;
    }

    // A buffer to copy to and then to wait for.
    staging(size) {
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      return this.pools.get(size)?.pop() ?? this.device.createBuffer({ size, usage });
    }

    // Never before this returns. `keep`: whether the staging buffer is kept for the next read of its size.
    tell(number, staging, keep) {
      const take = (bytes) => this.take(number, bytes.length > SHORT ? bytes : String.fromCharCode.apply(null, bytes));
      this.wait(staging, keep, take, (error) => this.fail(number, error));
    }

    bytes(staging, keep) {
      return new Promise((resolve, reject) => this.wait(staging, keep, resolve, reject));
    }

    wait(staging, keep, take, fail) {
      const copied = () => {
        const bytes = new Uint8Array(staging.getMappedRange()).slice();
        staging.unmap();
        if (keep) this.give(staging);
        else staging.destroy();
        return bytes;
      };
      const failed = ({ message }) => {
        const [name, why] = this.lost() ? ["DeviceLost", this.lost()] : ["DeviceError", `reading back failed: ${message}`];
        fail(Object.assign(new Error(why), { name }));
      };
      // A lost device ends what waits for it before it tells why, and may not tell of what comes after that.
      const toldWhy = () => Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, TELLING))]);
      this.nudge.during(staging.mapAsync(GPUMapMode.READ)).then(
        () => take(this.clock.timed(copied)), // what Python does then it counts itself
        (error) => toldWhy().then(() => this.clock.timed(() => failed(error))),
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
