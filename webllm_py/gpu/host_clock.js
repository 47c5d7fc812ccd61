// Counts the time that replay.js and nudge.js take when the browser calls them: what Python calls is
// counted by gpu/browser.py. One expression, as replay.js is: the class.
(() => {
  return class HostClock {
    constructor() {
      this.spent = 0; // ms
    }

    // Do what the browser called for, and count it.
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
