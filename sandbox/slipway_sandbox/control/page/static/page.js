// Keeps the page current: asks for the part that changes, and puts in only what is different, so that what is open, focused or
// scrolled to stays. An answer that has not changed is a 304 without a body; a page that nobody looks at asks nothing.
"use strict";

const EVERY = 1000;
const EVERY_WHEN_GONE = 2000;
const ROOT = "/_sandbox/";
const tags = new Map();
const gone = document.getElementById("gone");
const said = document.getElementById("said");
let timer;

document.documentElement.classList.add("js");

/** The new text at a URL, or null where it has not changed since it was last asked for. */
async function changed(url, slot = url) {
  const known = tags.get(slot);
  const answer = await fetch(url, { headers: known ? { "If-None-Match": known } : {}, cache: "no-store" });
  if (answer.status === 304) return null;
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  tags.set(slot, answer.headers.get("ETag"));
  return answer.text();
}

const options = {
  morphStyle: "outerHTML",
  ignoreActiveValue: true,
  callbacks: {
    beforeNodeMorphed: (old, fresh) => {
      if (failsNow(old, fresh)) old.open = true;
      return !(old.hasAttribute && old.hasAttribute("data-keep"));
    },
    // What is open is the person's, once it is there; but for the log of what fails meanwhile.
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.localName === "details"),
  },
};

const failsNow = (old, fresh) => old.dataset && fresh.dataset && "failed" in fresh.dataset && !("failed" in old.dataset);

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  let pause = EVERY;
  try {
    const live = document.getElementById("live");
    const text = await changed(live.dataset.url);
    if (text !== null) {
      Idiomorph.morph(live, new DOMParser().parseFromString(text, "text/html").getElementById("live"), options);
    }
    await Promise.all([...document.querySelectorAll("details.log[open]")].filter(isShown).map(readLog));
    show(true);
  } catch {
    show(false);
    pause = EVERY_WHEN_GONE;
  }
  sayTimes();
  timer = setTimeout(refresh, pause);
}

function show(there) {
  gone.hidden = there;
  document.body.classList.toggle("stale", !there);
}

const isShown = (element) => element.getClientRects().length > 0;

async function readLog(details) {
  const lines = details.querySelector("pre");
  const text = await changed(details.dataset.log, details.id);
  if (text === null) return;
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 8;
  lines.textContent = text;
  if (atEnd) lines.scrollTop = lines.scrollHeight;
}

/** Times of lists, as how long ago; the whole time is their title. */
function sayTimes() {
  const units = [["s", 60], ["min", 60], ["h", 24], ["d", Infinity]];
  for (const time of document.querySelectorAll(".at time")) {
    let age = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
    const unit = units.find(([, size]) => age < size || ((age /= size), false));
    const words = `${Math.floor(age)} ${unit[0]} ago`;
    if (time.textContent !== words) time.textContent = words;
  }
}

/** One call of the sandbox's own API, as `data-send` names it: method and path. */
async function send(command, body) {
  const [method, path] = command.split(" ");
  const answer = await fetch(ROOT + path, { method, body, headers: { "Content-Type": "application/json" } });
  const text = await answer.text();
  say(answer.ok ? `Done. ${text === "{}" ? "" : text}` : `Refused: ${text}`);
  refresh();
}

let silence;
function say(text) {
  said.textContent = text;
  said.hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => (said.hidden = true), 6000);
}

/** A form's fields as JSON: numbers as numbers, what is empty left out. */
function bodyOf(form) {
  if ("raw" in form.dataset) return form.elements.body.value;
  const fields = [...form.elements].filter((field) => field.name && field.value !== "");
  return JSON.stringify(Object.fromEntries(fields.map((field) => [field.name, field.type === "number" ? Number(field.value) : field.value])));
}

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.send) return;
  event.preventDefault();
  send(event.target.dataset.send, bodyOf(event.target)).catch((error) => say(String(error)));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-send]");
  if (button) send(button.dataset.send, button.dataset.body).catch((error) => say(String(error)));
});
document.addEventListener("change", (event) => {
  if (event.target.id === "place") event.target.form.submit();
});
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.log[open]")) readLog(event.target).catch(() => show(false));
}, true);
document.addEventListener("visibilitychange", refresh);
sayTimes();
refresh();
