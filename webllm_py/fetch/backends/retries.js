// Work in the origin-private file system that another tab or worker disturbs, done again. The text is one
// expression: a function that gives three, which store.js, file_system.js and block_file.js use.
(() => {
  const RETRY_SECONDS = 0.05;
  const MOST_TRIES = 200; // 10 s: whoever has a file open lets go at the end of a load
  const MOST_DISTURBED = 20;

  // Wait until others have closed a file that is to be opened for writing, or removed.
  async function untilFree(work) {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (error.name !== "NoModificationAllowedError" || tries === MOST_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1000 * RETRY_SECONDS));
      }
    }
  }

  // Find a file anew that somebody writes between its being found and its being read.
  async function undisturbed(work) {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (error.name !== "NotReadableError" || tries === MOST_DISTURBED) throw error;
      }
    }
  }

  // The value, or undefined where there is no such file or folder.
  async function orNothing(work) {
    try {
      return await work();
    } catch (error) {
      if (error.name !== "NotFoundError") throw error;
      return undefined;
    }
  }

  return { untilFree, undisturbed, orNothing };
});
