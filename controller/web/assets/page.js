// Keeps the page fresh, and sends the button's request without leaving it. The
// page works without this script too: it then reloads itself.
"use strict";

const interval = 3000; // ms
const live = document.getElementById("live");
let timer;

// address is that of a path here, without the token that the page's own may have: a
// script may not ask one with it, and the browser sends it along.
const address = path => new URL(path, location.origin);

function show(lost) {
  live.hidden = false;
  live.classList.toggle("lost", lost);
  live.textContent = lost ? "Pacer does not answer; this is what it said last" : "live";
}

// showMessage shows why a request was refused, until the next one.
function showMessage(message) {
  const said = document.getElementById("said");
  said.hidden = message === "";
  said.textContent = message;
}

// The reader's own: whether a details is open, and what focus made focusable.
const readers = new Set(["open", "tabindex"]);

const keyOf = node => node.dataset?.key;

// morph makes a node like a fresh one of the same name, and keeps each node that is
// in both, so that focus, scroll positions, selections and what is being written
// stay. Among siblings a data-key says which node is which, if it has one; all that
// can have the focus has one, or a parent that does.
function morph(node, fresh) {
  if (node.isEqualNode(fresh)) return;
  if (node.nodeType !== Node.ELEMENT_NODE) {
    node.nodeValue = fresh.nodeValue;
    return;
  }
  for (const {name} of [...node.attributes]) {
    if (!fresh.hasAttribute(name) && !readers.has(name)) node.removeAttribute(name);
  }
  for (const {name, value} of fresh.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  const keyed = new Map([...node.children].filter(keyOf).map(child => [keyOf(child), child]));
  const kept = new Set([...fresh.children].map(keyOf));
  let at = node.firstChild;
  for (const child of [...fresh.childNodes]) {
    const key = keyOf(child);
    while (key && at && !(keyOf(at) && kept.has(keyOf(at)))) at = remove(at); // gone, or without a key
    const same = key ? keyed.get(key) : at && !keyOf(at) && at;
    keyed.delete(key);
    if (!same || same.nodeName !== child.nodeName) {
      node.insertBefore(document.adoptNode(child), at);
    } else if (same === at) {
      at = at.nextSibling;
      morph(same, child);
    } else {
      node.insertBefore(same, at);
      morph(same, child);
    }
  }
  while (at) at = remove(at);
}

// remove removes a node and returns the one after it.
function remove(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

const focusable = "a[href], button, summary, input:not([type=hidden])";

// take shows what the server rendered. The focus stays where it is; where that is
// gone it goes to what took its place, or to what it was in: the row, the sync.
function take(fresh) {
  const focused = document.activeElement;
  const around = [];
  for (let e = focused; e && e.id !== "content" && e !== document.body; e = e.parentElement) around.push(e);
  for (const id of ["headline", "content"]) morph(document.getElementById(id), fresh.getElementById(id));
  document.title = fresh.title;
  if (around.length === 0 || document.activeElement === focused) return;
  const stays = around.find(e => e.isConnected && e.checkVisibility());
  if (!stays) return;
  const within = [...stays.querySelectorAll(focusable)].filter(e => e.checkVisibility());
  const next = within.length === 1 ? within[0] : stays;
  if (next.tabIndex < 0) next.tabIndex = -1;
  next.focus({preventScroll: true});
}

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch(address(location.pathname + location.search), {signal: AbortSignal.timeout(10000)});
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (getSelection().isCollapsed) take(fresh); // or a reader is about to copy it
    show(false);
  } catch {
    show(true);
  }
  timer = setTimeout(refresh, document.hidden ? 10 * interval : interval);
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = form.querySelector("button");
  if (button.ariaDisabled === "true") return; // it is being sent
  button.ariaDisabled = "true"; // disabled would take the focus away
  try {
    const answer = await fetch(address(form.getAttribute("action")), {method: "POST", body: new URLSearchParams(new FormData(form)), signal: AbortSignal.timeout(35000)});
    showMessage(answer.ok ? "" : (await answer.json()).message);
    const opened = answer.ok && form.closest("details"), summary = opened && opened.querySelector("summary");
    (summary || button).textContent = answer.ok ? "Requested" : "Refused";
    if (answer.ok) form.reset();
    if (opened) {
      if (opened.contains(document.activeElement)) summary.focus({preventScroll: true});
      opened.open = false;
    }
  } catch {
    show(true);
    button.ariaDisabled = null;
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, 600);
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
show(false);
timer = setTimeout(refresh, interval);
