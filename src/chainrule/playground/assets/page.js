// The page: shows the steps of the trace, and computes everything again when a number is changed.
"use strict";
(function () {
  document.documentElement.classList.add("with-js");
  const $ = (id) => document.getElementById(id);
  const trace = JSON.parse($("trace").textContent);
  const READ = Object.keys(trace.program.inputs); // x, y, W1, b1, ...
  const steps = trace.steps;
  const WORDS = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const number = (v) => (typeof v === "string" ? WORDS[v] : v);
  const copy = (from) => Object.fromEntries(READ.map((k) => [k, from[k].slice()]));
  const recorded = Object.fromEntries(
    Object.entries(trace.values).map(([k, list]) => [k, list.map(number)]));
  const backward = steps.findIndex((s) => s.part.startsWith("backward"));

  const state = { values: recorded, hidden: null }; // every number by key; what a question covers
  let now = 0, playing = 0, asked = 0;

  const { written, name, value, bracketed, same, asNumber, formula, refs, LONGEST } =
    makeWords(trace, state);
  const { map, examples, exact, moment, drawMap, drawLines } =
    makeTraining(trace, state, { copy, compute, number, written });

  // ---------------------------------------------------------------- the step

  function element(tag, text, attributes = {}) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    for (const k in attributes) e.setAttribute(k, attributes[k]);
    return e;
  }

  function line(...parts) {
    const p = element("p", undefined, { class: "formula" });
    p.append(...parts);
    return p;
  }

  function show() {
    const step = steps[now];
    const where = "step " + (now + 1) + " of " + steps.length + " · " + step.part + " · " +
      step.says + (step.where ? " · " + step.where : "");
    const result = same(step.value, state.hidden) ? "?" : written(value(step.value));
    $("said").replaceChildren(
      element("p", where, { class: "where" }),
      line(element("b", name(step.value)), " = " + formula(step, name, false)),
      line(" = " + formula(step, asNumber, true) + " = ", element("b", result)));
    $("step").value = now + 1;
    $("step").setAttribute("aria-valuetext", where);
    $("part").value = step.part;
    mark(step);
    for (const row of document.querySelectorAll("#table tr.here")) row.classList.remove("here");
    rows[now].classList.add("here");
  }

  function go(to, keepQuiz) {
    if (!keepQuiz) closeQuiz();
    now = Math.min(Math.max(to, 0), steps.length - 1);
    show();
    if (now === steps.length - 1) stop();
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    $("play").textContent = "▶ play";
    $("play").setAttribute("aria-pressed", "false");
    $("said").setAttribute("aria-live", "polite");
  }

  function play() {
    if (playing) return stop();
    if (now === steps.length - 1) go(0);
    playing = setInterval(() => go(now + 1), 1600);
    $("play").textContent = "❚❚ pause";
    $("play").setAttribute("aria-pressed", "true");
    $("said").setAttribute("aria-live", "off"); // nobody can listen as fast as this plays
  }

  // ---------------------------------------------------------------- the picture

  const net = $("net"), dense = net.classList.contains("dense");
  const SVG = "http://www.w3.org/2000/svg";
  const gradientOf = (key) => (key[0] === "d" ? key.slice(1) : key);

  // Where a number stands in the picture: on an edge, or at a unit.
  function place(ref) {
    const key = gradientOf(ref[0]), layer = key.slice(1);
    if (key[0] === "W" || key[0] === "x" || key === "L")
      return net.querySelector(`[data-ref="${key},${ref[1]}"]`);
    if (key[0] === "u") return net.querySelector(`[data-ref="x,${ref[1]}"]`);
    const at = "pty".includes(key[0]) ? String(trace.network.layers.length) : layer;
    return net.querySelector(`[data-ref="a${at},${ref[1]}"]`) ||
      net.querySelector(`[data-ref="z${at},${ref[1]}"]`);
  }

  function mark(step) {
    for (const e of net.querySelectorAll(".used, .result")) e.classList.remove("used", "result");
    for (const e of net.querySelectorAll(".extra")) e.remove();
    for (const ref of refs(step)) {
      const at = place(ref);
      if (at) at.classList.add("used");
      if (dense && at && refs(step).length <= 16) note(at, ref);
    }
    const at = place(step.value);
    if (at) at.classList.add("result");
    if (dense && at) note(at, step.value);
    const text = net.querySelector(`[data-text="${step.value}"]`);
    if (text) text.classList.add("result");
  }

  // In a picture without room for all numbers: the one of this step.
  function note(at, ref) {
    const l = at.querySelector("line"), c = at.querySelector("circle");
    if ((!l && !c) || same(ref, state.hidden)) return;
    const text = document.createElementNS(SVG, "text");
    const get = (e, k) => Number(e.getAttribute(k));
    const x = l ? 0.6 * get(l, "x1") + 0.4 * get(l, "x2") : get(c, "cx") + 44;
    const y = l ? 0.6 * get(l, "y1") + 0.4 * get(l, "y2") : get(c, "cy") + 5;
    text.setAttribute("x", x);
    text.setAttribute("y", y + (ref[0][0] === "d" && l ? 14 : 0));
    text.setAttribute("class", "extra" + (ref[0][0] === "d" ? " gradient" : ""));
    text.textContent = written(value(ref), 4);
    at.append(text);
  }

  function repaint() {
    for (const text of net.querySelectorAll("[data-text]")) {
      const [key, at] = text.dataset.text.split(",");
      const covered = same([key, Number(at)], state.hidden);
      text.textContent = text.dataset.before + (covered ? "?" : written(state.values[key][at], 4));
    }
    for (const g of net.querySelectorAll("[data-ref]")) {
      const [key, at] = g.dataset.ref.split(","), v = state.values[key][at];
      g.classList.toggle("minus", v < 0);
      const l = g.querySelector("line"), sign = g.querySelector(".sign");
      const wide = 0.6 + 3.4 * Math.min(Math.abs(v) / 2 || 0, 1);
      if (l) l.setAttribute("stroke-width", wide.toFixed(2));
      if (sign) sign.textContent = v < 0 ? "−" : "+";
    }
  }

  const rows = [...document.querySelectorAll("#table tbody tr")];

  // The table is written anew when somebody looks at it.
  let stale = false;

  function fillTable() {
    if (!stale || !$("table").closest("details").open) return;
    stale = false;
    steps.forEach((s, i) => {
      const cells = rows[i].cells;
      cells[3].textContent = formula(s, name, false);
      cells[4].textContent = formula(s, (r) => bracketed(written(value(r))), true);
      cells[5].textContent = written(value(s.value));
    });
  }

  // ---------------------------------------------------------------- changes

  function compute(inputs, says) {
    closeQuiz();
    state.values = Object.assign({}, inputs, evaluate(trace.program, inputs));
    $("edited").textContent = says + "loss " + written(state.values.L[0]);
    stale = true;
    repaint();
    fillTable();
    fillFields();
    whatIf();
    if (map) drawMap();
    show();
  }

  const fields = []; // [input, key, place]

  function field(key, at, host) {
    const input = element("input", undefined, { type: "number", step: "any" });
    const label = element("label", name([key, at]) + " ");
    label.append(input);
    host.append(label);
    fields.push([input, key, at]);
    input.addEventListener("change", () => {
      const v = input.value.trim() === "" ? NaN : Number(input.value);
      input.setAttribute("aria-invalid", String(!Number.isFinite(v)));
      if (!Number.isFinite(v)) {
        $("edited").textContent = name([key, at]) + " must be a number; nothing was changed.";
        return;
      }
      const inputs = copy(state.values);
      inputs[key][at] = v;
      compute(inputs, name([key, at]) + " is now " + v + ": ");
    });
  }

  function makeFields() {
    const host = $("fields"), classes = trace.network.loss === "cross_entropy";
    const group = (title, keys, open) => {
      const box = element("details"), grid = element("div", undefined, { class: "grid" });
      box.open = open;
      box.append(element("summary", title), grid);
      for (const key of keys) state.values[key].forEach((_, i) => field(key, i, grid));
      host.append(box);
      return grid;
    };
    const few = READ.reduce((n, k) => n + state.values[k].length, 0) <= 24;
    const first = group("Example", classes ? ["x"] : ["x", "y"], true);
    if (classes) first.prepend(classField());
    if (examples) first.prepend(exampleField());
    trace.network.layers.forEach((l, i) => {
      const keys = ["W" + (i + 1), "b" + (i + 1)].filter((k) => k in state.values);
      const sizes = l.inputs + " inputs, " + l.units + " units";
      group("Layer " + (i + 1) + " (module " + l.name + "): " + sizes, keys, few);
    });
  }

  let classSelect = null, exampleInput = null;

  function classField() {
    const label = element("label", "true class ");
    classSelect = element("select");
    const names = examples ? examples.classes : state.values.y.map((_, i) => String(i + 1));
    names.forEach((n, i) => classSelect.append(element("option", n, { value: i })));
    label.append(classSelect);
    classSelect.addEventListener("change", () => {
      const inputs = copy(state.values), k = Number(classSelect.value);
      inputs.y = inputs.y.map((_, i) => Number(i === k));
      compute(inputs, "the true class is now " + names[k] + ": ");
    });
    return label;
  }

  function exampleField() {
    const label = element("label", "take example ");
    exampleInput = element("input", undefined,
      { type: "number", min: 0, max: examples.y.length - 1, step: 1 });
    exampleInput.value = trace.example;
    label.append(exampleInput);
    exampleInput.addEventListener("change", () => {
      const n = Number(exampleInput.value), good = exampleInput.value !== "" && n in examples.y;
      exampleInput.setAttribute("aria-invalid", String(!good));
      if (!good) {
        $("edited").textContent = "Examples are 0 to " + (examples.y.length - 1) + ".";
        return;
      }
      const inputs = copy(state.values);
      inputs.x = examples.x[n].map(exact);
      inputs.y = inputs.y.map((_, i) => Number(i === examples.y[n]));
      compute(inputs, "example " + n + " of class " + examples.classes[examples.y[n]] + ": ");
    });
    return label;
  }

  function fillFields() {
    for (const [input, key, at] of fields) {
      input.value = state.values[key][at];
      input.setAttribute("aria-invalid", "false");
    }
    const same = (list, k) => list.every((v, i) => exact(v) === state.values[k][i]);
    if (exampleInput) {
      const n = Number(exampleInput.value || -1); // an example that was changed is none any more
      if (!(n in examples.y && same(examples.x[n], "x"))) exampleInput.value = "";
    }
    if (classSelect) classSelect.value = state.values.y.indexOf(Math.max(...state.values.y));
  }

  // ---------------------------------------------------------------- another step

  function whatIf() {
    const rate = Number($("rate").value), kind = $("activation") ? $("activation").value : "";
    const good = $("rate").value !== "" && Number.isFinite(rate) && rate >= 0;
    $("rate").setAttribute("aria-invalid", String(!good));
    $("outcome").textContent = good ? "" : "The learning rate must be a number, 0 or more.";
    const body = $("future").tBodies[0];
    body.replaceChildren();
    if (!good) return;
    const program = kind ? trace.variants[kind] : trace.program;
    let inputs = copy(state.values), found = evaluate(program, inputs);
    const start = found.L[0], learned = READ.filter((k) => /^[Wb]/.test(k));
    const square = learned.reduce((s, k) => s + found["d" + k].reduce((t, g) => t + g * g, 0), 0);
    const row = (n) => {
      const tr = element("tr");
      tr.append(element("th", String(n), { scope: "row" }), element("td", written(found.L[0])));
      body.append(tr);
    };
    row(0);
    for (let n = 1; n <= 100; n++) {
      for (const k of learned) inputs[k] = inputs[k].map((w, i) => w - rate * found["d" + k][i]);
      found = evaluate(program, inputs);
      if (n === 1) {
        const promised = -rate * square, kept = found.L[0] - start;
        $("outcome").textContent = (kind ? "With " + kind + " between the layers: " : "") +
          "loss " + written(start) + " → " + written(found.L[0]) +
          ". Promised " + written(promised) + " (−rate × squared length of the gradient), kept " + written(kept) +
          (promised ? " (" + Math.round((100 * kept) / promised) + " %)." : ".");
      }
      if (n === 1 || n === 10 || n === 100) row(n);
    }
  }

  // ---------------------------------------------------------------- quiz

  function closeQuiz() {
    if (!state.hidden) return;
    state.hidden = null;
    $("quiz").hidden = true;
    $("ask").setAttribute("aria-expanded", "false");
    repaint();
  }

  // One number of the step is covered; the others to choose from are numbers of the same net.
  function ask() {
    if (state.hidden) {
      closeQuiz();
      return show();
    }
    stop();
    const step = steps[now], parts = [step.value, ...refs(step).slice(0, LONGEST - 2)];
    state.hidden = parts[asked++ % parts.length];
    const right = written(value(state.hidden)), wrong = [];
    const near = [...refs(step), ...steps.map((s) => s.value).slice(Math.max(0, now - 6), now + 7)];
    const other = near.map((r) => written(value(r)));
    const v = value(state.hidden);
    other.push(...[-v, 2 * v, v / 2, v + 1].map((x) => written(x)));
    for (const text of other)
      if (text !== right && !wrong.includes(text) && wrong.length < 3) wrong.push(text);
    const choices = [right, ...wrong].sort((a, b) => Number(a) - Number(b));
    $("answers").replaceChildren(...choices.map((text) => {
      const label = element("label");
      label.append(element("input", undefined, { type: "radio", name: "answer", value: text }),
        " " + text);
      return label;
    }));
    $("question").textContent =
      "Which number replaces “?” in the step of " + name(step.value) + "?";
    $("verdict").textContent = "";
    $("quiz").hidden = false;
    $("ask").setAttribute("aria-expanded", "true");
    repaint();
    show();
    $("answers").querySelector("input").focus();
  }

  function check() {
    const chosen = $("answers").querySelector("input:checked");
    const right = written(value(state.hidden));
    if (!chosen) $("verdict").textContent = "Choose a number first.";
    else if (chosen.value === right) reveal("✔ Right: ");
    else $("verdict").textContent = "✖ Not " + chosen.value + ". Work it out once more.";
  }

  function reveal(before) {
    const ref = state.hidden;
    state.hidden = null;
    repaint();
    show();
    state.hidden = ref;
    $("verdict").textContent = before + name(ref) + " is " + written(value(ref)) + ".";
  }

  // ---------------------------------------------------------------- what is pressed

  const on = (id, event, f) => $(id) && $(id).addEventListener(event, f);

  function keyed(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || !$("keys").checked) return;
    const inField = e.target.closest("input, select, textarea");
    if (inField && !(inField.type === "checkbox" && e.key !== " ")) return;
    if (e.key === " " && e.target.closest("button, summary, a")) return;
    const act = {
      " ": play, ArrowRight: () => go(now + 1), ArrowLeft: () => go(now - 1), Home: () => go(0),
      End: () => go(steps.length - 1), b: () => go(backward), q: ask,
    }[e.key];
    // The arrows also scroll what is wider than the window.
    if (!act || (e.key.startsWith("Arrow") && e.target.closest(".scroll"))) return;
    e.preventDefault();
    act();
  }

  function theme(name) {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
  }

  function start() {
    for (const part of new Set(steps.map((s) => s.part)))
      $("part").append(element("option", part));
    if (map)
      for (let u = 0; u < trace.network.layers[0].units; u++)
        $("line").append(element("option", String(u + 1), { value: u }));
    if (map) $("line").append(element("option", "none"));
    for (const box of document.querySelectorAll("details.closes")) box.open = false;
    on("previous", "click", () => go(now - 1));
    on("next", "click", () => go(now + 1));
    on("play", "click", play);
    on("jump", "click", () => go(backward));
    on("ask", "click", ask);
    on("check", "click", check);
    on("reveal", "click", () => reveal("It is so: "));
    on("step", "input", () => go(Number($("step").value) - 1));
    on("part", "change", () => go(steps.findIndex((s) => s.part === $("part").value)));
    on("reset", "click", () => compute(copy(recorded), "the recorded numbers: "));
    on("rate", "change", whatIf);
    on("activation", "change", whatIf);
    on("frame", "input", moment);
    for (const [id, by] of [["earlier", -1], ["later", 1]])
      on(id, "click", () => { $("frame").value = Number($("frame").value) + by; moment(); });
    on("line", "change", drawLines);
    on("theme", "change", () => theme($("theme").value));
    on("table", "click", (e) => {
      const link = e.target.closest("[data-step]");
      if (link) go(Number(link.dataset.step));
    });
    $("table").closest("details").addEventListener("toggle", fillTable);
    document.addEventListener("keydown", keyed);
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      for (const box of opened) box.open = true;
      fillTable();
    });
    addEventListener("afterprint", () => { for (const box of opened) box.open = false; });
    makeFields();
    fillFields();
    whatIf();
    if (map) drawMap();
    show();
  }

  start();
})();
