// What the page and the service worker call things by.

const LOCK = "webllm_py endpoint ";

/** The lock that a page holds while it answers; `id`: of the client that it is. */
export const lockOf = (id) => `${LOCK}${id}`;

/** The client that holds a lock of that kind. */
export const clientOf = (name) => (name.startsWith(LOCK) ? name.slice(LOCK.length) : null);
