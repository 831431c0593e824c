// What handlers can do that nothing shows later: what goes on unseen, and settings that cannot be read.

import { Proxy, apply, construct, exec, getPrototypeOf, ownKeys } from './primordials.mjs';

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
    __proto__: null,
    apply(target, self, args) {
      if (matters(args)) isDone = true;
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
  const names = ownKeys(owner);
  for (let at = 0; at < names.length; at++) {
    const name = names[at];
    if (typeof name === 'string' && exec(SETTING, name) !== null && typeof owner[name] === 'function') notice(owner, name);
  }
}

function hasUnref(args) {
  for (let at = 0; at < args.length; at++) if (args[at]?.ref === false) return true;
  return false;
}

/** Note timers of ``node:timers/promises`` that do not keep the process. */
export function noticeTimers(promises) {
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
    notice(promises, name, hasUnref);
  }
  notice(promises.scheduler, 'wait', hasUnref);
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
