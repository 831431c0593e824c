// Keeps the parts of a page that are marked so up to date. A page is asked for again as it is, and
// its marked parts take the place of those shown, so all that is seen comes from the templates.

const PAUSE_MS = 2000;
// Between two looks while events come, and the longest quiet while they are heard.
const LEAST_MS = 500;
const HEARD_MS = 10000;
const LONGEST_MS = 30000;

/** Return the page at an address as a document; none of its scripts run. Fails without a node. */
export function read(address, method = "GET", body = null) {
  return new Promise((done, fail) => {
    const asked = new XMLHttpRequest();
    asked.open(method, address);
    asked.responseType = "document";
    asked.timeout = LONGEST_MS;
    asked.onload = () => (asked.response && asked.status < 500 ? done(asked.response) : fail(new Error("no page")));
    asked.onerror = asked.ontimeout = () => fail(new Error("no answer"));
    asked.send(body);
  });
}

/** Put a part of another document in the place of the part with its id, unless they are equal. */
export function replace(shown, fresh) {
  if (shown.isEqualNode(fresh)) return;
  const held = shown.contains(document.activeElement) ? document.activeElement : null;
  if (held && held.matches("input, textarea, select")) return; // somebody writes there
  const offsets = [...shown.querySelectorAll(".scroll, pre")].map((box) => [box.scrollLeft, box.scrollTop]);
  shown.replaceChildren(...document.adoptNode(fresh).childNodes);
  for (const name of Object.keys(fresh.dataset)) shown.dataset[name] = fresh.dataset[name];
  [...shown.querySelectorAll(".scroll, pre")].forEach((box, at) => {
    if (offsets[at]) [box.scrollLeft, box.scrollTop] = offsets[at];
  });
  if (held && held.href) [...shown.querySelectorAll("a")].find((link) => link.href === held.href)?.focus();
}

/** Ask for this page again, and show what is new in it; all of it, if it is another page now. */
async function refresh() {
  if (isReading() && !document.querySelector("section[data-live]")) return location.reload();
  const page = await read(location.href);
  for (const shown of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(shown.id);
    if (!fresh) return location.replace(location.pathname + location.search);
    replace(shown, fresh);
  }
}

const ENDED = ["succeeded", "failed", "cancelled"];

function hasEnded() {
  return ENDED.includes(document.querySelector("[data-state]")?.dataset.state);
}

/** Whether the page shows a part of a log, and more of it is to be read. */
function isReading() {
  return Boolean(document.querySelector("[data-reading]")?.dataset.reading);
}

function isOver() {
  return hasEnded() && !isReading();
}

/** Call back when something has happened to the request of this page; say whether it is heard of. */
function listen(heard) {
  const address = document.querySelector("[data-events]")?.dataset.events;
  if (!address || hasEnded()) return () => false;
  const events = new EventSource(address);
  for (const name of ["progress", "reset", "end"]) {
    events.addEventListener(name, () => {
      if (name === "end") events.close();
      heard();
    });
  }
  addEventListener("pagehide", () => events.close());
  return () => events.readyState === EventSource.OPEN;
}

function keepLive(button) {
  let paused = false;
  let busy = false;
  let missed = false;
  let last = 0;
  let pause = PAUSE_MS;
  let timer = 0;
  const say = (text) => { if (button.textContent !== text) button.textContent = text; };
  const again = () => {
    clearTimeout(timer);
    if (paused || isOver()) return;
    const usual = isReading() ? Math.min(pause, LEAST_MS) : pause;
    const quiet = document.hidden || (isHeard() && !isReading()) ? HEARD_MS : usual;
    timer = setTimeout(turn, missed ? Math.max(0, last + LEAST_MS - performance.now()) : quiet);
  };
  const isHeard = listen(() => {
    missed = true;
    if (!busy && !document.hidden) again();
  });
  async function turn() {
    busy = true;
    missed = false;
    last = performance.now();
    try {
      await refresh();
      pause = PAUSE_MS;
      say(isOver() ? "Ended" : "Live");
    } catch {
      pause = Math.min(2 * pause, LONGEST_MS);
      say("No answer");
    }
    busy = false;
    again();
  }
  button.hidden = isOver();
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(!paused));
    say(paused ? "Paused" : "Live");
    paused ? clearTimeout(timer) : turn();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused && !busy) again(); });
  again();
}

const button = document.getElementById("live");
if (button && document.querySelector("[data-live]")) keepLive(button);
