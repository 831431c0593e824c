// Shows a long list of invocations in a box that scrolls. The table of the page is its beginning;
// more is fetched when the end comes near. Only the rows that are to be seen are in the document.

const LIMIT = 500; // rows a fetch
const MOST = 20000; // rows in memory; the page's own link leads on from there
const SPARE = 8; // rows above and below those to be seen

const box = document.getElementById("rows");

/** Return a duration as the pages show it. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  if (seconds < 0.001) return `${Math.max(0, seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const whole = Math.floor(seconds);
  const two = (count) => String(count).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

function instant(at) {
  return at === null ? "-" : new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ");
}

const CELLS = 10;

/** Return foreign text as the pages show it: with escapes for what cannot be seen. */
function visible(text) {
  const hidden = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
  return text.replace(hidden, (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** Return the texts of an invocation, cell by cell. */
function texts(one) {
  const waits = one.queued_at !== null && one.started_at !== null;
  return [
    one.state, one.invocation_id, one.kind, one.step_name, String(one.attempt), instant(one.started_at),
    duration(waits ? one.started_at - one.queued_at : null), duration(one.duration_s),
    one.executor ? (one.node_id ? `${one.node_id}/` : "") + one.executor : "-",
    one.failure ? visible(`${one.failure.type}: ${one.failure.message}`.slice(0, 160)) : "",
  ];
}

/** A row that shows one invocation after another; only what differs is written. */
class Row {
  constructor() {
    this.row = document.createElement("tr");
    const inner = { 0: "span", 1: "a", 9: "span" };
    this.texts = Array.from({ length: CELLS }, (_, at) => {
      const cell = this.row.appendChild(document.createElement("td"));
      const text = document.createTextNode("");
      (inner[at] ? cell.appendChild(document.createElement(inner[at])) : cell).append(text);
      return text;
    });
    for (const at of [4, 6, 7]) this.row.cells[at].className = "n";
    this.row.cells[9].className = "rest";
    this.row.cells[9].firstElementChild.className = "error";
    this.one = null;
  }

  fill(one) {
    if (one === this.one) return;
    this.one = one;
    const [state, link] = [this.texts[0].parentNode, this.texts[1].parentNode];
    if (this.texts[0].data !== one.state) state.className = `state ${one.state}`;
    link.href = box.dataset.invocation + one.invocation_id;
    texts(one).forEach((text, at) => { if (this.texts[at].data !== text) this.texts[at].data = text; });
  }
}

function scroller() {
  const body = box.querySelector("tbody");
  const source = new URL(box.dataset.source, location.href);
  const found = [];
  let next = new URLSearchParams(location.search).get("from") ?? "";
  let fetching = false;
  let height = 0;
  let rows = [];
  let shownFrom = 0;

  const spacer = () => {
    const row = document.createElement("tr");
    row.className = "spacer";
    row.setAttribute("aria-hidden", "true");
    row.append(document.createElement("td"));
    row.cells[0].colSpan = CELLS;
    return row;
  };
  const above = spacer();
  const below = spacer();

  async function fetchMore() {
    if (fetching || next === null || found.length >= MOST) return;
    fetching = true;
    source.searchParams.set("limit", LIMIT);
    if (next) source.searchParams.set("from", next);
    try {
      const answer = await fetch(source);
      if (!answer.ok) return;
      const page = await answer.json();
      found.push(...page.invocations);
      next = page.next;
      if (height === 0) begin();
      soon();
    } finally {
      fetching = false;
    }
  }

  function begin() {
    box.classList.add("long");
    body.parentNode.classList.remove("list"); // on a narrow screen a row is one line, too
    height = body.rows[0].getBoundingClientRect().height;
    body.replaceChildren(above, below);
    document.getElementById("pages").hidden = true;
  }

  function draw() {
    const room = Math.ceil(box.clientHeight / height) + 2 * SPARE; // reads first, then writes
    const top = Math.floor(box.scrollTop / height) - SPARE;
    const count = Math.min(room, found.length);
    const from = Math.max(0, Math.min(top, found.length - count));
    turn(from - shownFrom);
    while (rows.length < count) below.before(rows[rows.push(new Row()) - 1].row);
    while (rows.length > count) rows.pop().row.remove();
    above.cells[0].style.height = `${from * height}px`;
    below.cells[0].style.height = `${(found.length - from - count) * height}px`;
    rows.forEach((row, at) => row.fill(found[from + at]));
    shownFrom = from;
    if (from + count > found.length - LIMIT / 2) fetchMore();
    if (found.length >= MOST && next) leadOn();
  }

  /** Move rows that are to be seen no more to the other end, so that the others stay as they are. */
  function turn(by) {
    if (Math.abs(by) >= rows.length) return;
    for (; by > 0; by -= 1) rows.push(rows.shift()), below.before(rows.at(-1).row);
    for (; by < 0; by += 1) rows.unshift(rows.pop()), above.after(rows[0].row);
  }

  function leadOn() {
    const pages = document.getElementById("pages");
    if (!pages.hidden) return;
    const link = document.createElement("a");
    const address = new URL(location.href);
    address.searchParams.set("from", next);
    link.href = address.href;
    link.textContent = `After the first ${found.length.toLocaleString("en")}`;
    pages.replaceChildren(link);
    pages.hidden = false;
  }

  let asked = false;
  const soon = () => {
    if (asked || height === 0) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  box.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe(box);
  fetchMore();
}

if (box && box.dataset.next) scroller();
