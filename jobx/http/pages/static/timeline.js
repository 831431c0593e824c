// Draws what ran when: a row for each executor, a bar for each run; failures last, so that nothing
// hides them. With too many bars for a picture the server sends columns of how many ran at once.

import { duration } from "./rows.js";

const LANE = 14; // pixels of a row, where there is room
const LEAST = 3; // pixels of a row at least
const MOST_HEIGHT = 420;
const AXIS = 22;
const COLUMNS_HEIGHT = 180;
const LEAST_BAR = 1.5;
const FAILED_BAR = 3;
const DOUBLE_MS = 400; // a second click within it is a double-click
const HUES = ["--step-0", "--step-1", "--step-2", "--step-3", "--step-4", "--step-5"];

const place = document.getElementById("timeline");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { steps: HUES.map(read), bad: read("--bad"), busy: read("--busy"), rule: read("--rule"), soft: read("--soft"), text: read("--text") };
}

class Timeline {
  constructor(view) {
    this.view = view;
    this.first = Number(place.dataset.from);
    this.last = Number(place.dataset.until);
    this.accepted = Number(place.dataset.accepted);
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "What ran when. The tables below say the same. Plus and minus zoom, arrows move.");
    this.said = document.createElement("p");
    this.said.className = "note said";
    this.said.textContent = "Drag to see a part; double-click to see all.";
    this.legend = document.createElement("p");
    this.legend.className = "legend";
    place.replaceChildren(this.legend, this.canvas, this.said);
    place.hidden = false;
    this.take(view);
    this.listen();
  }

  take(view) {
    this.view = view;
    this.from = view.from_at;
    this.until = Math.max(view.until_at, view.from_at + 1e-6);
    const names = new Set();
    for (const bar of view.bars ?? []) names.add(bar.step_name);
    for (const column of view.columns ?? []) for (const name of Object.keys(column.running)) names.add(name);
    this.steps = new Map([...names].sort().map((name, at) => [name, at % HUES.length]));
    this.failed = (view.bars ?? []).filter((bar) => bar.state === "failed");
    this.others = (view.bars ?? []).filter((bar) => bar.state !== "failed");
    this.name();
    this.draw();
  }

  name() {
    const all = colours();
    const items = [...this.steps].map(([name, at]) => [name, all.steps[at]]);
    if (this.failed.length || (this.view.columns ?? []).some((one) => one.failed)) items.push(["failed", all.bad]);
    this.legend.replaceChildren(...items.map(([name, colour]) => {
      const item = document.createElement("span");
      const mark = document.createElement("i");
      mark.style.background = colour;
      item.append(mark, name);
      return item;
    }));
  }

  draw() {
    const width = this.width = place.clientWidth; // reads first, then writes
    const all = colours();
    const rows = this.view.lanes.length + 1;
    this.lane = Math.max(LEAST, Math.min(LANE, Math.floor(MOST_HEIGHT / rows)));
    const body = this.view.columns ? COLUMNS_HEIGHT : Math.max(28, rows * this.lane);
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = (body + AXIS) * ratio;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${body + AXIS}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    this.axis(pen, width, body, all);
    if (this.view.columns) this.drawColumns(pen, width, body, all);
    else this.drawBars(pen, width, all);
  }

  x(at, width) {
    return ((at - this.from) / (this.until - this.from)) * width;
  }

  y(lane) {
    return (lane < 0 ? this.view.lanes.length : lane) * this.lane;
  }

  axis(pen, width, body, all) {
    const raw = (this.until - this.from) / Math.max(2, Math.floor(width / 110));
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? raw;
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    for (let at = Math.ceil((this.from - this.accepted) / step) * step; at <= this.until - this.accepted; at += step) {
      const x = Math.round(this.x(at + this.accepted, width)) + 0.5;
      pen.strokeStyle = all.rule;
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, body + 4);
      pen.stroke();
      pen.fillStyle = all.soft;
      const text = duration(Math.abs(at) < step / 1e6 ? 0 : at);
      const room = pen.measureText(text).width;
      pen.fillText(text, Math.min(Math.max(0, x - room / 2), width - room), body + 17);
    }
  }

  drawBars(pen, width, all) {
    const tall = Math.max(2, this.lane - 2);
    const put = (bar, least) => {
      const from = this.x(bar.started_at, width);
      pen.fillRect(from, this.y(bar.lane), Math.max(least, this.x(bar.started_at + bar.duration_s, width) - from), tall);
    };
    for (const bar of this.others) {
      pen.fillStyle = bar.state === "running" ? all.busy : all.steps[this.steps.get(bar.step_name)];
      put(bar, LEAST_BAR);
    }
    pen.fillStyle = all.bad;
    for (const bar of this.failed) put(bar, FAILED_BAR);
  }

  drawColumns(pen, width, body, all) {
    const columns = this.view.columns;
    const sum = (column) => Object.values(column.running).reduce((one, other) => one + other, 0);
    const most = Math.max(...columns.map(sum), 1e-9);
    for (const column of columns) {
      const from = this.x(column.at, width);
      const wide = Math.max(1, this.x(column.at + column.width_s, width) - from);
      let y = body;
      for (const [name, count] of Object.entries(column.running)) {
        const tall = (count / most) * (body - 10);
        pen.fillStyle = all.steps[this.steps.get(name)];
        pen.fillRect(from, y - tall, wide + 0.5, tall);
        y -= tall;
      }
    }
    pen.fillStyle = all.bad;
    for (const column of columns) if (column.failed) pen.fillRect(this.x(column.at, width), 0, Math.max(FAILED_BAR, 2), 8);
  }

  at(x) {
    return this.from + (x / this.width) * (this.until - this.from);
  }

  under(x, y) {
    const at = this.at(x);
    const spare = (FAILED_BAR / this.width) * (this.until - this.from);
    const hit = (bar) => at >= bar.started_at - spare && at <= bar.started_at + bar.duration_s + spare && y >= this.y(bar.lane) && y < this.y(bar.lane) + this.lane;
    return this.failed.find(hit) ?? this.others.find(hit);
  }

  async see(from, until) {
    const source = new URL(place.dataset.source, location.href);
    source.searchParams.set("width", Math.min(2000, Math.max(100, Math.floor(this.width / 2))));
    if (from !== null) {
      source.searchParams.set("from", from);
      source.searchParams.set("to", until);
    }
    this.asked?.abort(); // what was asked for last is shown, whatever is answered last
    const asked = this.asked = new AbortController();
    try {
      const answer = await fetch(source, { signal: asked.signal });
      if (answer.ok) this.take(await answer.json());
      else this.said.textContent = "This part cannot be shown now.";
    } catch {
      if (!asked.signal.aborted) this.said.textContent = "No answer.";
    }
    if (this.asked === asked) this.asked = null;
  }

  listen() {
    let began = null;
    let leaves = 0;
    this.canvas.addEventListener("pointerdown", (event) => {
      clearTimeout(leaves);
      began = event.offsetX;
      this.canvas.setPointerCapture(event.pointerId);
    });
    let moved = null; // looked up once a frame, however often a pointer tells
    this.canvas.addEventListener("pointermove", (event) => {
      if (!moved) requestAnimationFrame(() => {
        const bar = this.view.bars && this.under(...moved);
        moved = null;
        if (bar) this.say(bar);
      });
      moved = [event.offsetX, event.offsetY];
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (began === null) return;
      const [from, until] = [Math.min(began, event.offsetX), Math.max(began, event.offsetX)];
      began = null;
      if (until - from > 6) this.see(this.at(from), this.at(until));
      else {
        const bar = this.view.bars && this.under(event.offsetX, event.offsetY);
        if (bar) leaves = setTimeout(() => { location.href = place.dataset.invocation + bar.invocation_id; }, DOUBLE_MS);
      }
    });
    this.canvas.addEventListener("dblclick", () => {
      clearTimeout(leaves);
      this.see(null, null);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const long = this.until - this.from;
      const back = Math.max(0, Math.min(long / 4, this.from - this.first));
      const on = Math.max(0, Math.min(long / 4, this.last - this.until));
      const moves = {
        "+": [this.from + long / 4, this.until - long / 4], "=": [this.from + long / 4, this.until - long / 4],
        "-": [this.from - long / 2, this.until + long / 2],
        ArrowLeft: [this.from - back, this.until - back], ArrowRight: [this.from + on, this.until + on],
      };
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      if (event.repeat && this.asked) return; // a key that is held moves on when the last move is shown
      this.see(Math.max(this.first, move[0]), Math.min(this.last, move[1]));
    });
    new ResizeObserver(() => { if (place.clientWidth !== this.width) this.draw(); }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.name(); this.draw(); });
  }

  say(bar) {
    const lane = this.view.lanes[bar.lane] ?? "";
    this.said.textContent = `${bar.invocation_id} ${bar.state}, ${bar.step_name}, after ${duration(bar.started_at - this.accepted)}, ran ${duration(bar.duration_s)}${lane ? `, executor ${lane}` : ""}`;
  }
}

async function begin() {
  const source = new URL(place.dataset.source, location.href);
  source.searchParams.set("width", Math.min(2000, Math.max(100, Math.floor(place.parentElement.clientWidth / 2))));
  const shown = new URLSearchParams(location.search);
  for (const name of ["from", "to"]) if (shown.has(name)) source.searchParams.set(name, shown.get(name));
  const answer = await fetch(source).catch(() => null); // the tables say the same
  if (answer?.ok) new Timeline(await answer.json());
}

if (place) begin();
