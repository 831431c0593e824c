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

/** Write an invocation into a row, cell by cell. */
function fill(row, one) {
  const cells = row.cells;
  const state = cells[0].firstElementChild;
  const link = cells[1].firstElementChild;
  const error = cells[9].firstElementChild;
  state.className = `state ${one.state}`;
  state.textContent = one.state;
  link.href = box.dataset.invocation + one.invocation_id;
  link.textContent = one.invocation_id;
  cells[2].textContent = one.kind;
  cells[3].textContent = one.step_name;
  cells[4].textContent = one.attempt;
  cells[5].textContent = instant(one.started_at);
  const waits = one.queued_at !== null && one.started_at !== null;
  cells[6].textContent = duration(waits ? one.started_at - one.queued_at : null);
  cells[7].textContent = duration(one.duration_s);
  cells[8].textContent = one.executor ? (one.node_id ? `${one.node_id}/` : "") + one.executor : "-";
  error.textContent = one.failure ? `${one.failure.type}: ${one.failure.message}`.slice(0, 160) : "";
}

function emptyRow() {
  const row = document.createElement("tr");
  for (let at = 0; at < 10; at += 1) row.append(document.createElement("td"));
  row.cells[0].append(document.createElement("span"));
  row.cells[1].append(document.createElement("a"));
  row.cells[9].append(document.createElement("span"));
  for (const at of [4, 6, 7]) row.cells[at].className = "n";
  row.cells[9].className = "rest";
  row.cells[9].firstElementChild.className = "error";
  return row;
}

function scroller() {
  const body = box.querySelector("tbody");
  const source = new URL(box.dataset.source, location.href);
  const found = [];
  let next = new URLSearchParams(location.search).get("from") ?? "";
  let fetching = false;
  let height = 0;
  let shownFrom = -1;
  let shownCount = 0;

  const spacer = () => {
    const row = document.createElement("tr");
    row.className = "spacer";
    row.setAttribute("aria-hidden", "true");
    row.append(document.createElement("td"));
    row.cells[0].colSpan = 10;
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
      draw();
    } finally {
      fetching = false;
    }
  }

  function begin() {
    height = body.rows[0].getBoundingClientRect().height;
    box.classList.add("long");
    body.replaceChildren(above, below);
    document.getElementById("pages").hidden = true;
  }

  function draw() {
    const room = Math.ceil(box.clientHeight / height) + 2 * SPARE;
    const count = Math.min(room, found.length);
    const from = Math.max(0, Math.min(Math.floor(box.scrollTop / height) - SPARE, found.length - count));
    while (body.rows.length - 2 < count) below.before(emptyRow());
    while (body.rows.length - 2 > count) below.previousElementSibling.remove();
    above.cells[0].style.height = `${from * height}px`;
    below.cells[0].style.height = `${(found.length - from - count) * height}px`;
    if (from !== shownFrom || count !== shownCount) {
      for (let at = 0; at < count; at += 1) fill(body.rows[at + 1], found[from + at]);
    }
    shownFrom = from;
    shownCount = count;
    if (from + count > found.length - LIMIT / 2) fetchMore();
    if (found.length >= MOST && next) leadOn();
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
