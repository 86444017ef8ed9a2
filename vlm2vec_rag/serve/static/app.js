/* What pages do beyond links and forms: keys, dropping files, streamed answers, zoom. Loaded once, kept small. */
"use strict";

const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const isWriting = (element) => element?.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");

/* News: one line below the bar, for what went wrong. */
function tell(words) {
  const line = document.createElement("p");
  const text = document.createElement("span");
  const close = document.createElement("button");
  line.className = "news";
  text.textContent = words;
  close.className = "quiet";
  close.type = "button";
  close.dataset.dismiss = "";
  close.textContent = "Dismiss";
  line.append(text, close);
  find("#news").replaceChildren(line);
}

async function reasonOf(response) {
  try { return (await response.json()).error.message; } catch { return `the server answered ${response.status}; try again`; }
}

/* Colours: as the system, light, dark. */
const THEMES = ["", "light", "dark"];
const THEME_WORDS = { "": "as the system", light: "light", dark: "dark" };

function showTheme() {
  const words = `Colours: ${THEME_WORDS[document.documentElement.dataset.theme ?? ""]}`;
  for (const button of all("[data-theme-next]")) { button.title = words; button.setAttribute("aria-label", words); }
}

function nextTheme() {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
  if (next) root.dataset.theme = next; else delete root.dataset.theme;
  try { localStorage.setItem("theme", next); } catch { /* it holds for this page then */ }
  showTheme();
}

/* The open item: which card it is, and the focus that goes to it and comes back. */
function showCurrent() {
  const id = find("#reader")?.dataset.id;
  for (const card of all(".card")) {
    if (id && card.dataset.id === id) card.setAttribute("aria-current", "true"); else card.removeAttribute("aria-current");
  }
}

let opener = null;

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id === "reader" && !event.target.closest("#reader")) opener = event.target;
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id === "page") {
    find("main").classList.toggle("is-home", !find("#page .results :is(.count, .problem, .empty)"));
    document.title = `${find("#q")?.value.trim() || "Search"} · vlm2vec-rag`;
  }
  if (event.detail.target?.id !== "reader") return;
  showCurrent();
  const reader = find("#reader");
  if (find("article", reader)) {
    if (window.matchMedia("(min-width: 64rem)").matches) find(".card[aria-current]")?.scrollIntoView({ block: "nearest" });
    // keep the place in the toolbar while paging through
    const step = event.detail.requestConfig?.elt?.dataset?.step;
    (step && find(`[data-step="${step}"]`, reader) || reader).focus({ preventScroll: true });
  } else if (opener?.isConnected) { opener.focus({ preventScroll: true }); }
});

document.addEventListener("htmx:sendError", () => tell("the server does not answer; is it still running?"));

/* A question before something is removed, in the page's own words. */
document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const dialog = find("#sure");
  find("#sure-words").textContent = event.detail.question;
  dialog.returnValue = "no";
  dialog.showModal();
  dialog.addEventListener("close", () => { if (dialog.returnValue === "yes") event.detail.issueRequest(true); }, { once: true });
});

/* Zoom: the sheet scrolls, the page grows in it, and is fetched again with more pixels. */
function zoom(direction) {
  const paper = find("#reader .paper");
  const image = paper && find("img", paper);
  if (!image) return;
  const sheet = paper.parentElement;
  const fitted = Number(paper.dataset.fitted || (paper.dataset.fitted = String(image.clientWidth)));
  const before = Number(paper.dataset.factor || 1);
  const factor = Math.min(5, Math.max(1, before * (direction > 0 ? 1.4 : 1 / 1.4)));
  const middle = (sheet.scrollTop + sheet.clientHeight / 2) / sheet.scrollHeight;
  paper.dataset.factor = String(factor);
  paper.classList.toggle("is-zoomed", factor > 1.01);
  paper.style.width = factor > 1.01 ? `${Math.round(fitted * factor)}px` : "";
  sheet.scrollTop = middle * sheet.scrollHeight - sheet.clientHeight / 2;
  if (factor > 1.5 && image.dataset.zoomed) {
    const sharp = new Image();
    sharp.onload = () => { image.src = sharp.src; };
    sharp.src = image.dataset.zoomed;
    delete image.dataset.zoomed;
  }
}

/* Searching with an image or a clip: it is sent first, and the search names it by the id it gets. */
async function searchWith(file) {
  const picker = find("[data-query-file]");
  if (!picker) { tell("this collection is searched by words only; an image or clip needs one built with a model"); return; }
  const body = new FormData();
  body.append("file", file);
  const response = await fetch(picker.dataset.queryFile, { method: "POST", body, headers: { Accept: "application/json" } });
  if (!response.ok) { tell(await reasonOf(response)); return; }
  const { name, id } = await response.json();
  const address = new URL(location.href);
  address.pathname = "/search";
  for (const each of ["image", "clip", "open", "quote"]) address.searchParams.delete(each);
  const words = find("#q")?.value.trim() ?? "";
  if (words) address.searchParams.set("q", words); else address.searchParams.delete("q");
  address.searchParams.set(name, id);
  location.assign(address);
}

/* Uploading: one request, its progress told file by file, then the jobs that came of it. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) { found.push(await new Promise((resolve, reject) => entry.file(resolve, reject))); return; }
    const reader = entry.createReader();
    for (;;) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return;
      for (const each of batch) await walk(each);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

function upload(files) {
  const form = find("#upload");
  const list = find("#sending");
  const most = Number(form.dataset.maxBytes);
  const rows = [];
  const body = new FormData();
  let sum = 0;
  list.replaceChildren();
  for (const file of files) {
    if (file.name.startsWith(".")) continue;
    const row = document.createElement("li");
    const name = document.createElement("bdi");
    name.textContent = file.name;
    row.append(name);
    list.append(row);
    if (file.size > most) {
      const words = document.createElement("span");
      words.textContent = `is over ${Math.round(most / 1e6).toLocaleString("en")} MB`;
      row.className = "is-failed";
      row.append(words);
      continue;
    }
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    row.append(bar);
    body.append("files", file, file.name);
    rows.push({ bar, row, from: sum, size: Math.max(1, file.size) });
    sum += file.size;
  }
  if (!rows.length) return;
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("HX-Request", "true");
  request.upload.onprogress = (event) => {
    const sent = event.loaded / event.total * sum;
    for (const each of rows) each.bar.value = Math.min(1, Math.max(0, (sent - each.from) / each.size));
  };
  request.onload = () => {
    for (const each of rows) each.row.remove();
    if (request.status >= 400) { find("#news").innerHTML = request.responseText; return; }
    window.htmx.swap(find("#jobs"), request.responseText, { swapStyle: "outerHTML" });
  };
  request.onerror = () => { list.replaceChildren(); tell("the upload ended before its time; try again"); };
  request.send(body);
}

/* Asking: the turn comes as Server-Sent Events, each with HTML that the server has made safe. */
let asking = null;

async function ask(question) {
  const form = find("#ask");
  if (!form || asking || !question.trim()) return;
  const box = find("#question");
  const turns = find("#turns");
  const body = new URLSearchParams(new FormData(form));
  body.set("q", question);
  asking = new AbortController();
  box.value = "";
  find("[data-stop]").hidden = false;
  find(".go:not([data-stop])", form).hidden = true;
  find(".opening")?.remove();
  find("main").classList.remove("is-home");
  let turn = waitingTurn(question);
  turns.append(turn);
  turn.scrollIntoView({ block: "start", behavior: "smooth" });
  try {
    const response = await fetch(form.dataset.stream, { method: "POST", body, signal: asking.signal, headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(await reasonOf(response));
    for await (const { event, data } of eventsOf(response.body)) {
      if (event === "begin") {
        form.elements.conversation.value = data.conversation;
        history.replaceState({}, "", data.address);
        box.placeholder = "Ask a follow-up";
      } else if (event === "text") { find(".answer", turn).innerHTML = data.html; } else { turn = replaceTurn(turn, data.html); }
    }
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message || "the answer ended before its time; ask again");
    if (turn.dataset.state === "writing") stopTurn(turn);
  } finally {
    asking = null;
    find("[data-stop]").hidden = true;
    find(".go:not([data-stop])", form).hidden = false;
    box.focus({ preventScroll: true });
  }
}

function waitingTurn(question) {
  const turn = document.createElement("article");
  turn.className = "turn";
  turn.dataset.state = "writing";
  turn.dataset.question = question;
  turn.innerHTML = '<div class="said"><h2 class="question"></h2><div class="answer"></div><div class="acts"><span class="writing" role="status">Searching<span class="dots" aria-hidden="true"></span></span></div></div>';
  find(".question", turn).textContent = question;
  return turn;
}

function replaceTurn(turn, html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  const next = find(".turn", made.content);
  turn.replaceWith(next);
  window.htmx.process(next);
  return next;
}

function stopTurn(turn) {
  turn.dataset.state = "stopped";
  const acts = find(".acts", turn);
  acts.innerHTML = '<span class="writing">Stopped.</span><button class="quiet" type="button" data-again>Ask again</button>';
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block);
      const data = /^data: (.*)$/m.exec(block);
      if (event && data) yield { event: event[1], data: JSON.parse(data[1]) };
    }
  }
}

/* One listener for each kind of event, whatever is swapped in and out. */
document.addEventListener("click", async (event) => {
  const target = event.target.closest("button, a, [data-dismiss]");
  if (!target) return;
  if (target.matches("[data-theme-next]")) nextTheme();
  else if (target.matches("[data-dismiss]")) find("#news").replaceChildren();
  else if (target.matches("[data-zoom]")) zoom(Number(target.dataset.zoom));
  else if (target.matches("[data-stop]")) asking?.abort();
  else if (target.matches("[data-ask]")) ask(target.dataset.ask);
  else if (target.matches("[data-again]")) ask(target.closest(".turn").dataset.question);
  else if (target.matches("[data-drop-asked]")) { target.closest(".chip").remove(); find("#search").requestSubmit(); }
  else if (target.matches("[data-copy]")) {
    const words = find("span", target);
    try {
      await navigator.clipboard.writeText(find(".answer", target.closest(".turn")).innerText);
      words.textContent = "Copied";
    } catch { words.textContent = "Select the text to copy it"; }
    setTimeout(() => { words.textContent = "Copy"; }, 2000);
  } else if (target.matches(".cite") && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    for (const each of all(".cite[aria-current]")) each.removeAttribute("aria-current");
    target.setAttribute("aria-current", "true");
    opener = target;
    const path = target.getAttribute("href");
    await window.htmx.ajax("GET", path, { target: "#reader", swap: "outerHTML show:none" });
    history.pushState({ htmx: true }, "", path);
  }
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "ask") return;
  event.preventDefault();
  ask(find("#question").value);
});

document.addEventListener("change", (event) => {
  const target = event.target;
  if (target.matches("[data-submit]")) target.form.requestSubmit();
  else if (target.matches("[data-query-file]") && target.files.length) searchWith(target.files[0]);
  else if (target.matches("[data-files]") && target.files.length) { upload([...target.files]); target.value = ""; }
});

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing || find("dialog[open]")) return;
  const writes = isWriting(event.target);
  const box = find("#q") ?? find("#question");
  if (event.key === "Escape") {
    const close = find("#reader [data-close]");
    if (asking) asking.abort();
    else if (close) { event.preventDefault(); close.click(); }
    else if (writes) event.target.blur();
    return;
  }
  if (event.target.id === "question" && event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    ask(event.target.value);
    return;
  }
  const cards = all(".cards .card").filter((each) => each.offsetParent);
  if (event.key === "ArrowDown" && event.target.id === "q" && cards.length) { event.preventDefault(); cards[0].focus(); return; }
  if (writes) return;
  if (event.key === "/" && box) { event.preventDefault(); box.focus(); box.select(); return; }
  const at = cards.indexOf(document.activeElement);
  if (at >= 0 && /^Arrow/.test(event.key)) {
    const next = nextCard(cards, at, event.key);
    if (next) { event.preventDefault(); next.focus(); } else if (event.key === "ArrowUp" && box) { event.preventDefault(); box.focus(); }
    return;
  }
  if (event.target.closest(".sheet, video")) return;
  if (event.key === "ArrowLeft") find('#reader a[data-step="before"]')?.click();
  else if (event.key === "ArrowRight") find('#reader a[data-step="after"]')?.click();
  else if (event.key === "+" || event.key === "=") zoom(1);
  else if (event.key === "-") zoom(-1);
});

/* The card to the side, or above and below, as the eye sees them. */
function nextCard(cards, at, key) {
  if (key === "ArrowRight") return cards[at + 1];
  if (key === "ArrowLeft") return cards[at - 1];
  const here = cards[at].getBoundingClientRect();
  const down = key === "ArrowDown";
  const rows = cards.filter((each) => {
    const there = each.getBoundingClientRect();
    return down ? there.top > here.top + 4 : there.top < here.top - 4;
  });
  const far = (each) => {
    const there = each.getBoundingClientRect();
    return Math.abs(there.top - here.top) * 4 + Math.abs(there.left - here.left);
  };
  return rows.sort((one, other) => far(one) - far(other))[0];
}

/* Dropping: onto the search line it is a question, in the library it is an upload. */
const dropPlace = (event) => ([...(event.dataTransfer?.types ?? [])].includes("Files") ? find("[data-drop-query]") ?? find("#upload") : null);
document.addEventListener("dragover", (event) => {
  const place = dropPlace(event);
  if (!place) return;
  event.preventDefault();
  place.classList.add("is-over");
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) all(".is-over").forEach((each) => each.classList.remove("is-over")); });
document.addEventListener("drop", async (event) => {
  const place = dropPlace(event);
  if (!place) return;
  event.preventDefault();
  place.classList.remove("is-over");
  if (place.id === "upload") upload(await filesOf(event.dataTransfer));
  else if (event.dataTransfer.files.length) searchWith(event.dataTransfer.files[0]);
});

showTheme();
showCurrent();
