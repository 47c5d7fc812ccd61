// What the page and the service worker call things by.

const LOCK = "webllm_py endpoint ";

/** The lock that a page holds while it answers; `id`: of the client that it is; `since`: in ms. */
export const lockOf = (id, since) => `${LOCK}${id} ${since}`;

/** Who holds a lock of that kind, {id, since, lock}; null of another kind. */
export function holderOf(lock) {
  if (!lock.startsWith(LOCK)) return null;
  const [id, since] = lock.slice(LOCK.length).split(" ");
  return { id, since: Number(since), lock };
}
