// Counts the time for which the thread is taken by what this package does: by callbacks of Python's event
// loop, with all that they call, and by what replay.js and nudge.js do when the browser calls them. Waiting
// is not counted, and neither is what the browser does in between.
// One expression, as replay.js is: the class.
(() => {
  return class HostClock {
    constructor() {
      this.spent = 0;
      this.since = null;
    }

    // Milliseconds, those of the callback under way included.
    now() {
      return this.since === null ? this.spent : this.spent + performance.now() - this.since;
    }

    // Do what the browser called for, and count it. Never within another: nothing waits in one.
    timed(work) {
      this.since = performance.now();
      try {
        return work();
      } finally {
        this.spent += performance.now() - this.since;
        this.since = null;
      }
    }

    // What Python's event loop schedules a callback with, made to count the callback.
    scheduling(schedule) {
      return (callback, delay) => schedule(() => this.timed(callback), delay);
    }
  };
})();
