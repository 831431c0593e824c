// Shows the commands that do the same as the form, while it is filled in. The server writes them.

import { read, replace } from "./ui.js";

const form = document.getElementById("form");
const PAUSE_MS = 400;
let timer = 0;
let asked = 0;

async function show() {
  const fields = new URLSearchParams(new FormData(form));
  fields.set("do", "show");
  const number = asked += 1;
  const page = await read(form.action, "POST", fields).catch(() => null);
  if (number !== asked) return; // another answer is of what the form holds now
  const fresh = page?.getElementById("commands");
  if (fresh) replace(document.getElementById("commands"), fresh);
  name();
}

/** Have the command name the address as this browser sees it: only it knows what a proxy adds. */
function name() {
  const curl = document.getElementById("curl");
  const address = new URL(form.dataset.place, location.href).href;
  curl.textContent = curl.textContent.replace(curl.dataset.address, () => address);
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, PAUSE_MS);
});
let sent = false; // a second click before the answer comes must not run the job twice
form.addEventListener("submit", (event) => {
  if (event.submitter?.value !== "show") {
    if (sent) event.preventDefault();
    sent = true;
    return;
  }
  event.preventDefault();
  show();
});
addEventListener("pageshow", () => { sent = false; });
name();
