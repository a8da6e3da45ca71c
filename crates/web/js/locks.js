/** Web Locks, with which the tabs of one browser take turns. The browser releases the locks of a closed tab. */

/** Whether locks are available: only on pages served over HTTPS or from localhost. */
export const areThere = Boolean(globalThis.navigator?.locks);

/**
 * Waits for a lock. Resolves to a function that releases it; with `ifAvailable`, to `undefined` if the lock is taken. The options are those of
 * `navigator.locks.request`.
 */
export function hold(name, options) {
  return new Promise((resolve, reject) => {
    const whileHeld = (lock) => (lock ? new Promise((release) => resolve(release)) : resolve(undefined));
    navigator.locks.request(name, options, whileHeld).catch(reject);
  });
}

/** Like `hold`, and calls `onWait` first if the lock is taken. */
export async function take(name, signal, onWait) {
  const release = await hold(name, { ifAvailable: true });
  if (release) return release;
  onWait();
  return hold(name, { signal });
}
