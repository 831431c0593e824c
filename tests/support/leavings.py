"""What handlers may leave behind in their executor, and the code that looks for it."""

from __future__ import annotations

IMPORT = "__import__('importlib').import_module"

#: What is left, and how it is looked for.
PYTHON_ROWS = {
    "decimal precision": (
        "import decimal; decimal.getcontext().prec = 3",
        "__import__('decimal').Decimal(1) / 3",
    ),
    "a decimal context": (
        "import decimal; decimal.setcontext(decimal.BasicContext)",
        "__import__('decimal').getcontext().rounding",
    ),
    "decimal defaults": (
        "import decimal; decimal.DefaultContext.prec = 3",
        "__import__('decimal').Context().prec",
    ),
    "decimal traps": (
        "import decimal; decimal.DefaultContext.traps[decimal.Inexact] = True",
        "__import__('decimal').Context().traps[__import__('decimal').Inexact]",
    ),
    "children ignored": (
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "__import__('subprocess').call(['false'])",
    ),
    "a signal handler": (
        "import signal; signal.signal(signal.SIGUSR1, lambda *_: None)",
        f"{IMPORT}('signal').getsignal(10)",
    ),
    "signals blocked": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
        f"{IMPORT}('signal').pthread_sigmask(0, [])",
    ),
    "a timer": (
        "import signal; signal.setitimer(signal.ITIMER_VIRTUAL, 3600)",
        f"{IMPORT}('signal').getitimer(1)",
    ),
    "a variable": ("import os; os.environ['LEFT'] = '1'", "__import__('os').environ.get('LEFT')"),
    "a variable removed": (
        "import os; del os.environ['TMPDIR']",
        "'TMPDIR' in __import__('os').environ",
    ),
    "the variables replaced": ("import os; os.environ = {}", "len(__import__('os').environ)"),
    "a variable for programs": (
        "import os; os.environ['LEFT'] = '1'",
        "__import__('subprocess').run('echo $LEFT', shell=True, capture_output=True).stdout",
    ),
    "the time zone": (
        "import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "__import__('time').timezone",
    ),
    "the folder of temporary files": (
        "import tempfile; tempfile.tempdir = '/nowhere'",
        "__import__('tempfile').gettempdir() == '/nowhere'",
    ),
    "the recursion limit": (
        "import sys; sys.setrecursionlimit(321)",
        "__import__('sys').getrecursionlimit()",
    ),
    "the switch interval": (
        "import sys; sys.setswitchinterval(1)",
        "__import__('sys').getswitchinterval()",
    ),
    "digits of integers": (
        "import sys; sys.set_int_max_str_digits(700)",
        "__import__('sys').get_int_max_str_digits()",
    ),
    "a trace function": (
        "import sys; sys.settrace(lambda *_: None)",
        "__import__('sys').gettrace()",
    ),
    "a profile function": (
        "import sys; sys.setprofile(lambda *_: None)",
        "__import__('sys').getprofile()",
    ),
    "stdout closed": ("import sys; sys.stdout.close()", "__import__('sys').stdout.closed"),
    "stdout replaced": (
        "import io, sys; sys.stdout = io.StringIO()",
        "type(__import__('sys').stdout).__name__",
    ),
    "the buffer of stdout closed": (
        "import io, sys; io.TextIOWrapper(sys.stdout.buffer).write('a')",
        "__import__('sys').stdout.flush()",
    ),
    "a method of stdout replaced": (
        "import sys; sys.stdout.write = len",
        "'write' in vars(__import__('sys').stdout)",
    ),
    "stdout deleted": ("import sys; del sys.stdout", "hasattr(__import__('sys'), 'stdout')"),
    "stdin deleted": ("import sys; del sys.stdin", "hasattr(__import__('sys'), 'stdin')"),
    "stderr gone": ("import sys; sys.stderr = None", "__import__('sys').stderr is None"),
    "descriptors closed": (
        "import os; os.close(1); os.close(2)",
        "[__import__('os').fstat(n).st_mode for n in (1, 2)]",
    ),
    "few files": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (64, r.getrlimit(r.RLIMIT_NOFILE)[1]))",
        f"{IMPORT}('resource').getrlimit(7)[0]",
    ),
    "few files for good": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (300, 300))",
        f"{IMPORT}('resource').getrlimit(7)",
    ),
    "small files": (
        "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (1 << 20, -1))",
        f"{IMPORT}('resource').getrlimit(1)",
    ),
    "a low priority": ("import os; os.nice(3)", "__import__('os').getpriority(0, 0)"),
    "few processors": (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])",
        "len(__import__('os').sched_getaffinity(0))",
    ),
    "the folder": ("import os; os.chdir('/')", "__import__('os').getcwd() == '/'"),
    "the mode of files": ("import os; os.umask(0)", "__import__('os').umask(0o77)"),
    "a builtin replaced": (
        "import builtins; builtins.sum = lambda _: 99",
        "sum([1, 2])",
    ),
    "a builtin added": (
        "import builtins; builtins.left = 1",
        "hasattr(__import__('builtins'), 'left')",
    ),
    "a builtin removed": ("import builtins; del builtins.divmod", "divmod(7, 2)"),
    "imports replaced": (
        "import builtins; real = builtins.__import__\n"
        "builtins.__import__ = lambda *a, **k: real(*a, **k)",
        "type(__import__).__name__",
    ),
    "time replaced": ("import time; time.time = lambda: 0.0", "__import__('time').time() > 1"),
    "sleep replaced": (
        "import time; time.sleep = lambda _: None",
        "type(__import__('time').sleep).__name__",
    ),
    "json replaced": ("import json; json.dumps = str", "__import__('json').dumps('a')"),
    "a function removed": ("import os; del os.getcwd", "hasattr(__import__('os'), 'getcwd')"),
    "a module replaced": (
        "import sys, types; sys.modules['json'] = types.ModuleType('json')",
        "hasattr(__import__('json'), 'dumps')",
    ),
    "all modules replaced": (
        "import sys; sys.modules = {}",
        "'dataclasses' in __import__('sys').modules",
    ),
    "a module removed": (
        "import sys; del sys.modules['random']",
        "'random' in __import__('sys').modules",
    ),
    "the path": ("import sys; sys.path.insert(0, '/left')", "'/left' in __import__('sys').path"),
    "an import hook": (
        "import sys; sys.meta_path.insert(0, type('Hook', (), {'find_spec': lambda *_: None})())",
        "len(__import__('sys').meta_path)",
    ),
    "the locale": (
        "import locale; locale.setlocale(locale.LC_ALL, 'C.UTF-8')",
        f"{IMPORT}('locale').setlocale(6)",
    ),
    "the random seed": (
        "import random; random.seed(1)",
        "__import__('random').random() == 0.13436424411240122",
    ),
    "warnings": (
        "import warnings; warnings.simplefilter('error')",
        f"[f[0] for f in {IMPORT}('warnings').filters]",
    ),
    "a log handler": (
        "import logging; logging.root.addHandler(logging.NullHandler())",
        f"len({IMPORT}('logging').root.handlers)",
    ),
    "logs disabled": (
        "import logging; logging.disable(50)",
        f"{IMPORT}('logging').root.manager.disable",
    ),
    "the collector": ("import gc; gc.disable()", "__import__('gc').isenabled()"),
    "its thresholds": ("import gc; gc.set_threshold(1)", "__import__('gc').get_threshold()"),
    "a socket timeout": (
        "import socket; socket.setdefaulttimeout(1)",
        f"{IMPORT}('socket').getdefaulttimeout()",
    ),
    "a file": ("open('left', 'w').close()", "__import__('os').path.exists('left')"),
    "a folder of files": (
        "import os; os.makedirs('a/b'); open('a/b/left', 'w').close()",
        "__import__('os').listdir()",
    ),
    "a temporary file": (
        "import tempfile; tempfile.mkstemp(prefix='left')",
        "[n for n in __import__('os').listdir() if n.startswith('left')]",
    ),
    "a thread": (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        f"len({IMPORT}('threading').enumerate())",
    ),
    "a process": (
        "import subprocess; subprocess.Popen(['sleep', '60'])",
        "len(open('/proc/thread-self/children').read().split())",
    ),
    "a context variable": (
        "import contextvars as c, string; string.var = c.ContextVar('var'); string.var.set(1)",
        "getattr(__import__('string'), 'var', __import__('contextvars').ContextVar('v')).get(0)",
    ),
}
#: What stays for further requests of the workflow, while the executor lives.
STAYS = {
    "a name in a module that is not watched": (
        "import string; string.left = 1",
        "hasattr(__import__('string'), 'left')",
    ),
    "a name in the handler's own module": (
        "import sys; sys.modules['handler(py)'].left = 1",
        "hasattr(__import__('sys').modules['handler(py)'], 'left')",
    ),
    "an import": ("import wave", "'wave' in __import__('sys').modules"),
}
JAVASCRIPT_ROWS = {
    "a prototype changed": ("Array.prototype.map = () => 'left';", "[1].map((one) => one)"),
    "a prototype extended": ("Object.prototype.left = 1;", "({}).left"),
    "a prototype frozen": ("Object.freeze(Array.prototype);", "Object.isFrozen(Array.prototype)"),
    "a function replaced": ("Math.max = () => 99;", "Math.max(1, 2)"),
    "a function removed": ("delete JSON.parse;", "typeof JSON.parse"),
    "a global": ("globalThis.left = 1;", "typeof left"),
    "a global for good": (
        "Object.defineProperty(globalThis, 'kept', { value: 1 });",
        "typeof kept",
    ),
    "a global replaced": ("globalThis.parseInt = () => 99;", "parseInt('1')"),
    "a timer": (
        "setInterval(() => { globalThis.ticks = (globalThis.ticks ?? 0) + 1; }, 1);",
        "new Promise((done) => setTimeout(() => done(typeof ticks), 20))",
    ),
    "a variable": ("process.env.LEFT = '1';", "process.env.LEFT"),
    "the folder": ("process.chdir('/');", "process.cwd() === '/'"),
    "a listener": ("process.on('exit', () => {});", "process.listenerCount('exit')"),
    "a listener of another event": (
        "process.on('left', () => {});",
        "process.listenerCount('left')",
    ),
    "listeners of many events": (
        "for (let at = 0; at < 20; at++) process.on(`left${at}`, () => {});",
        "process.eventNames().length",
    ),
    "a listener of a stream": (
        "process.stdout.on('left', () => {});",
        "process.stdout.listenerCount('left')",
    ),
    "a signal": ("process.on('SIGUSR2', () => {});", "process.listenerCount('SIGUSR2')"),
    "a stream's function": ("process.stdout.write = () => 'left';", "process.stdout.write('')"),
    "a stream's new function": (
        "process.stderr.left = () => {};",
        "typeof process.stderr.left",
    ),
    "a timer that keeps nothing": (
        "setInterval(() => { globalThis.ticks = (globalThis.ticks ?? 0) + 1; }, 1).unref();",
        "new Promise((done) => setTimeout(() => done(typeof ticks), 20))",
    ),
    "an abort that keeps nothing": (
        "AbortSignal.timeout(5).onabort = () => { globalThis.left = 1; };",
        "new Promise((done) => setTimeout(() => done(typeof left), 20))",
    ),
    "a promise that keeps nothing": (
        "(await import('node:timers/promises')).setTimeout(5, 0, { ref: false })"
        ".then(() => { globalThis.left = 1; });",
        "new Promise((done) => setTimeout(() => done(typeof left), 20))",
    ),
    "a server that keeps nothing": (
        "const { createServer } = await import('node:net');"
        "globalThis.port = 0; const server = createServer();"
        "await new Promise((done) => server.listen('left.sock', done)); server.unref();",
        "import('node:net').then(({ connect }) => new Promise((done) => {"
        " connect('left.sock', () => done(true)).on('error', () => done(false)); }))",
    ),
    "what is called when memory is freed": (
        "new FinalizationRegistry(() => {}).register({}, 0); globalThis.left = process.pid;",
        "typeof left",
    ),
    "another clock": ("performance.now = () => 0;", "performance.now() > 0"),
    "a prototype of Intl": (
        "Object.defineProperty(Intl.NumberFormat.prototype, 'format', { value: 'left' });",
        "typeof Object.getOwnPropertyDescriptor(Intl.NumberFormat.prototype, 'format').value",
    ),
    "a prototype of performance": (
        "Object.getPrototypeOf(performance).now = () => 0;",
        "performance.now() > 0",
    ),
    "a function of crypto": ("crypto.randomUUID = () => 'left';", "crypto.randomUUID().length"),
    "a prototype of crypto": (
        "Object.getPrototypeOf(crypto).getRandomValues = () => 'left';",
        "typeof crypto.getRandomValues(new Uint8Array(1))",
    ),
    "a name of the scope": (
        "try { Object.defineProperty(globalThis, 'FS', { value: 'left' }); } catch {}",
        "typeof FS",
    ),
    "a function of a module": (
        "(await import('node:fs')).default.readFileSync = () => 'left';",
        "(await import('node:fs')).default.readFileSync('/dev/null').length",
    ),
    "the named export of a module": (
        "(await import('node:fs')).default.readFileSync = () => 'left';"
        "(await import('node:module')).syncBuiltinESMExports();",
        "(await import('node:fs')).readFileSync('/dev/null').length",
    ),
    "a class of a module": (
        "(await import('node:events')).EventEmitter.prototype.left = 1;",
        "typeof (new (await import('node:events')).EventEmitter()).left",
    ),
    "a setting of a module": (
        "(await import('node:events')).EventEmitter.defaultMaxListeners = 99;",
        "(await import('node:events')).EventEmitter.defaultMaxListeners",
    ),
    "a setting that cannot be read": (
        "(await import('node:dns')).setServers(['127.0.0.1']);",
        "(await import('node:dns')).getServers().join() === '127.0.0.1'",
    ),
    "a module in parts": (
        "(await import('node:' + 'tls')).default.DEFAULT_MIN_VERSION = 'left';",
        "(await import('node:' + 'tls')).default.DEFAULT_MIN_VERSION",
    ),
    "the umask": ("process.umask(0o022);", "process.umask().toString(8)"),
    "an argument": ("process.argv.push('left');", "process.argv.length"),
    "the title": ("process.title = 'left';", "process.title"),
    "who catches": (
        "process.setUncaughtExceptionCaptureCallback(() => {});",
        "process.hasUncaughtExceptionCaptureCallback()",
    ),
    "the parent of a prototype": (
        "Object.setPrototypeOf(Map.prototype, Set.prototype);",
        "new Map() instanceof Set",
    ),
    "the last match": ("/l(ef)t/.exec('left');", "RegExp.$1 === 'ef'"),
    "a mark": ("performance.mark('left');", "performance.getEntriesByName('left').length"),
    "a measure": (
        "performance.measure('left', { start: 0, end: 1 });",
        "performance.getEntriesByName('left').length",
    ),
    "the folder of reports": ("process.report.directory = '/left';", "process.report.directory"),
    "the form of reports": ("process.report.compact = true;", "process.report.compact"),
    "the process seems to exit": ("process._exiting = true;", "process._exiting"),
    "a counter": (
        "console.count('left');",
        "(() => { const key = Object.getOwnPropertySymbols(console)"
        ".find((one) => one.description === 'counts');"
        " return console[key].get('left'); })()",
    ),
    "a time that runs": ("console.time('left');", "console._times.has('left')"),
    "a stream that holds back": ("process.stdout.cork();", "process.stdout.writableCorked"),
    "a stream's encoding": (
        "process.stdout.setDefaultEncoding('hex');",
        "process.stdout._writableState.defaultEncoding",
    ),
    "a prototype of segments": (
        "Object.getPrototypeOf(new Intl.Segmenter().segment('a')).left = 1;",
        "typeof new Intl.Segmenter().segment('a').left",
    ),
    "a prototype of loops over segments": (
        "Object.getPrototypeOf(new Intl.Segmenter().segment('a')[Symbol.iterator]()).left = 1;",
        "typeof new Intl.Segmenter().segment('a')[Symbol.iterator]().left",
    ),
    "a prototype of loops over a query": (
        "Object.getPrototypeOf(new URLSearchParams().entries()).left = 1;",
        "typeof new URLSearchParams().entries().left",
    ),
    "a file": (
        "(await import('node:fs')).writeFileSync('left', '');",
        "(await import('node:fs')).existsSync('left')",
    ),
}
#: What is found within a tenth of a second.
SOON_ROWS = {
    "a getter of the same value": (
        "const { max } = Math; let seen = 0;"
        "Object.defineProperty(Math, 'max', { get: () => (seen++, max), configurable: true });",
        "typeof Object.getOwnPropertyDescriptor(Math, 'max').value",
    ),
    "an attribute": (
        "Object.defineProperty(Math, 'max', { writable: false });",
        "Object.getOwnPropertyDescriptor(Math, 'max').writable",
    ),
    "a name of a function": ("Math.max.left = 1;", "typeof Math.max.left"),
}
SHELL_ROWS = {
    "a file": ("touch left", "ls left 2>/dev/null | wc -l"),
    "a variable": ("export LEFT=1", 'echo "\\"[$LEFT]\\""'),
    "a limit": ("ulimit -n 64", "ulimit -n"),
    "a process": ("sleep 60 > /dev/null 2>&1 &", "echo 1"),
    "no folder": ('rm -rf "$TMPDIR"', "pwd | wc -l"),
    "no files in it": ('rm -rf "$TMPDIR"/*', "touch a; ls | grep -c a"),
}
