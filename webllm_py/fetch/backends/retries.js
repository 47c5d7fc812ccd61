// Work in the origin-private file system that another tab or worker disturbs, done again. The text is one
// expression: a function that gives three, which store.js, file_system.js and block_file.js use.
(() => {
  const RETRY_SECONDS = 0.05;
  const MOST_TRIES = 200; // 10 s: whoever has a file open lets go at the end of a load
  const MOST_DISTURBED = 20;

  // Do something again while it fails for a reason, `most` times at most.
  async function again(work, reason, most, pause = async () => {}) {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (error.name !== reason || tries === most) throw error;
        await pause();
      }
    }
  }

  // Wait until others have closed a file that is to be opened for writing, or removed.
  function untilFree(work) {
    const pause = () => new Promise((resolve) => setTimeout(resolve, 1000 * RETRY_SECONDS));
    return again(work, "NoModificationAllowedError", MOST_TRIES, pause);
  }

  // Find a file anew that somebody writes between its being found and its being read.
  function undisturbed(work) {
    return again(work, "NotReadableError", MOST_DISTURBED);
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
