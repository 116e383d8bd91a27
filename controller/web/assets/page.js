// Keeps the page fresh, and sends the button's request without leaving it. The
// page works without this script too: it then reloads itself.
"use strict";

const interval = 3000; // ms
const live = document.getElementById("live");
let timer;

function show(lost) {
  live.hidden = false;
  live.classList.toggle("lost", lost);
  live.textContent = lost ? "Pacer does not answer; this is what it said last" : "live";
}

// tell shows why what was asked for was refused, until something else is asked.
function tell(message) {
  const said = document.getElementById("said");
  said.hidden = message === "";
  said.textContent = message;
}

// replace takes over what the server rendered, and keeps what the reader opened
// and where the keyboard is.
function replace(id, fresh) {
  const old = document.getElementById(id);
  const next = fresh.getElementById(id);
  if (!old || !next || old.innerHTML === next.innerHTML) return;
  for (const d of old.querySelectorAll("details[open][id]")) {
    const same = next.querySelector("#" + CSS.escape(d.id));
    if (same) same.open = true;
  }
  const focused = document.activeElement?.getAttribute("aria-label");
  old.replaceWith(document.adoptNode(next));
  if (focused) document.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
}

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch(location.pathname + location.search, {signal: AbortSignal.timeout(10000)});
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const selecting = !getSelection().isCollapsed; // do not take away what somebody is about to copy
    const writing = [...document.querySelectorAll("input:not([type=hidden])")].some(i => i.value || i === document.activeElement); // nor writes
    if (!selecting && !writing) {
      replace("headline", fresh);
      replace("content", fresh);
      document.title = fresh.title;
    }
    show(false);
  } catch {
    show(true);
  }
  timer = setTimeout(refresh, document.hidden ? 10 * interval : interval);
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(event.target.action, {method: "POST", body: new URLSearchParams(new FormData(event.target)), signal: AbortSignal.timeout(35000)});
    button.textContent = answer.ok ? "Asked" : "Refused";
    tell(answer.ok ? "" : (await answer.json()).message);
    event.target.reset();
    document.activeElement?.blur(); // what was written is sent: the page may refresh again
  } catch {
    show(true);
    button.disabled = false;
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, 600);
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
show(false);
timer = setTimeout(refresh, interval);
