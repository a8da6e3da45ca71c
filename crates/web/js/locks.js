/** Web Locks, by which the tabs of one browser take turns. The browser frees those of a tab that is closed. */

/** Whether there are locks here: only on pages that come over HTTPS or from localhost. */
export const areThere = Boolean(globalThis.navigator?.locks);

/**
 * Waits for a lock and holds it until the function that this resolves to is called. With `ifAvailable` there may be none: `undefined`.
 * The options are those of `navigator.locks.request`.
 */
export function hold(name, options) {
  return new Promise((resolve, reject) => {
    const whileHeld = (lock) => (lock ? new Promise((release) => resolve(release)) : resolve(undefined));
    navigator.locks.request(name, options, whileHeld).catch(reject);
  });
}

/** The same, calling `onWait` first if another holds the lock. */
export async function take(name, signal, onWait) {
  const release = await hold(name, { ifAvailable: true });
  if (release) return release;
  onWait();
  return hold(name, { signal });
}
