// What handlers can do that nothing shows later: what goes on unseen, and settings that cannot be read.

const { apply, construct, getPrototypeOf, ownKeys } = Reflect;
const SETTING = /^set(?!Timeout$|Interval$|Immediate$)/;

let isDone = false;

/** Tell whether something of that kind was done since the process began. */
export function isLasting() {
  return isDone;
}

/** Note that something of that kind is done. */
export function note() {
  isDone = true;
}

/** Note calls of a function of an object, those that matter. */
function notice(owner, name, matters = () => true) {
  owner[name] = new Proxy(owner[name], {
    apply(target, self, args) {
      if (matters(...args)) isDone = true;
      return apply(target, self, args);
    },
    construct(target, args, made) {
      isDone = true;
      return construct(target, args, made);
    },
  });
}

/** Note what sets something that cannot be read back. */
export function noticeSettings(owner) {
  for (const name of ownKeys(owner)) {
    if (typeof name === 'string' && SETTING.test(name) && typeof owner[name] === 'function') notice(owner, name);
  }
}

/** Note timers of ``node:timers/promises`` that do not keep the process. */
export function noticeTimers(promises) {
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
    notice(promises, name, (...args) => args.some((one) => one?.ref === false));
  }
  notice(promises.scheduler, 'wait', (_delay, options) => options?.ref === false);
}

/** Note what no longer keeps the process, what calls back at any time, and what changes imports. */
export function noticeUnseen(modules) {
  const [timer, immediate] = [setTimeout(() => {}), setImmediate(() => {})];
  notice(getPrototypeOf(timer), 'unref');
  notice(getPrototypeOf(immediate), 'unref');
  clearTimeout(timer);
  clearImmediate(immediate);
  const handle = handlePrototype();
  if (handle !== null) notice(handle, 'unref');
  notice(globalThis, 'FinalizationRegistry');
  notice(globalThis, 'PerformanceObserver');
  notice(Atomics, 'waitAsync');
  noticeSettings(process);
  for (const name of ['register', 'syncBuiltinESMExports']) if (modules[name]) notice(modules, name);
}

/** Return what sockets, servers, processes and watchers have in common; null: node does not show it. */
function handlePrototype() {
  process.noDeprecation = true; // no warning in the output of a handler
  try {
    return getPrototypeOf(getPrototypeOf(process.binding('pipe_wrap').Pipe.prototype));
  } catch {
    return null;
  } finally {
    delete process.noDeprecation;
  }
}
