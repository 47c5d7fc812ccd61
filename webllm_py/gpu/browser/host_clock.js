// Counts the time that JavaScript takes when the browser calls it back; host_clock.py counts what Python calls.
// The text is one expression: the class.
(() => {
  return class HostClock {
    constructor() {
      this.spent = 0; // ms
    }

    // The value of work(); its time is counted.
    timed(work) {
      const since = performance.now();
      try {
        return work();
      } finally {
        this.spent += performance.now() - since;
      }
    }
  };
})();
