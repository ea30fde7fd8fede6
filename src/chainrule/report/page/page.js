"use strict";
// What scripts add to a page that is whole without them: theme, folded tables, downloads.
const page = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => Array.from(from.querySelectorAll(selector));
const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k === "onclick") e.addEventListener("click", v);
    else e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}

function drawn(tag, attributes, words) {
  const e = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (words !== undefined) e.textContent = words;
  return e;
}

function shown(v) {
  if (v === null || v === undefined) return "not computed";
  if (typeof v !== "number") return String(v);
  return Number.isInteger(v) ? String(v) : String(Number(v.toPrecision(5)));
}

// ---- tables are open where no script runs, so that they can be read and printed
const folded = $$("details.fold");
folded.forEach((d) => { d.open = false; });
let before = [];
window.addEventListener("beforeprint", () => {
  before = $$("details").filter((d) => !d.open);
  before.forEach((d) => { d.open = true; });
});
window.addEventListener("afterprint", () => before.forEach((d) => { d.open = false; }));

// ---- scripts of others lie packed in the page; the policy has the hashes of what comes out
async function unpacked(block) {
  const bytes = Uint8Array.from(atob(block.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(element("script", {}, await new Response(stream).text()));
}

const libraries = "DecompressionStream" in window
  ? (async () => { for (const b of $$("script[type='application/gzip']")) await unpacked(b); })()
  : new Promise(() => {}); // an old browser keeps the still pictures

// ---- a link to something folded unfolds it
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded_ = target && target.closest("details");
  if (!folded_) return;
  folded_.open = true;
  target.scrollIntoView();
  if (target === folded_) $("summary", folded_).focus();
}

function go(id) {
  if (location.hash === `#${id}`) reveal();
  else location.hash = id;
}
window.addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest("a[href^='#']");
  if (!link || !document.getElementById(link.hash.slice(1))?.closest("details")) return;
  event.preventDefault(); // a browser would take the focus away again
  go(link.hash.slice(1));
});
reveal();

// ---- theme
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const theme = $("#theme");
const themed = [];
function changed() { themed.forEach((f) => f()); }
if (theme) {
  theme.closest(".tools").hidden = false;
  theme.addEventListener("change", () => {
    if (theme.value === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = theme.value;
    changed();
  });
}
dark.addEventListener("change", changed);
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

// ---- downloads from the data in this page
function save(name, type, text) {
  const a = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(a.href), 1000);
}

function csv(chart) {
  const quoted = (v) => {
    let text = v === null || v === undefined ? "" : String(v);
    if (typeof v === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;  // no formula
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [chart.columns, ...chart.rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

$$("[data-save]").forEach((b) => {
  b.hidden = false;
  b.addEventListener("click", () => {
    const id = b.dataset.save;
    if (id === "all") save(`${page.name}.json`, "application/json", JSON.stringify(page, null, 1));
    else save(`${page.name}-${id}.csv`, "text/csv", csv(page.charts[id]));
  });
});

// ---- a factor of a formula lights its line in the picture
function light(key, on) {
  $$("[data-key]").forEach((e) => {
    if (e.dataset.key === key) e.classList.toggle("lit", on);
  });
}
for (const [start, end] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
  for (const [name, on] of [[start, true], [end, false]]) {
    document.addEventListener(name, (event) => {
      const holder = event.target.closest && event.target.closest("[data-key]");
      if (holder) light(holder.dataset.key, on);
    });
  }
}
