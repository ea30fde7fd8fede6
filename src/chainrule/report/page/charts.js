"use strict";
// Charts that answer: drawn by Vega when they come into view, walked with the arrow keys.
const PLAY = "Play the curve";
const SPOKEN_AFTER = 250; // ms without a key, so that a held key does not flood a screen reader

function heatValue(d, i, j) {
  const v = d.values[i][j];
  if (typeof v === "string") return v === "-inf" ? 0 : v; // a power of ten that is 0; nan and inf
  return v === null || !d.powers ? v : Number((10 ** v).toPrecision(4));
}

function rowsOf(chart) {
  const d = chart.data;
  const column = (v) => (typeof v === "number" ? chart.rows.map((r) => r[v]) : v);
  if (d.kind === "lines") {
    return d.series.flatMap((s) => {
      const y = column(s.y);
      return column(s.x).map((x, i) => ({ p: s.p, n: s.n, r: s.r, x, y: typeof y[i] === "number" ? y[i] : null }));
    });
  }
  if (d.kind === "heat") {
    return d.names.flatMap((n, i) => d.x.map((x, j) => {
      const v = d.values[i][j];
      return { n, x, v, bad: v === "nan" || v === "inf", zero: v === "-inf", k: `${i},${j}`,
               size: heatValue(d, i, j) };
    })).filter((r) => r.v !== null);
  }
  return d.parts.flatMap((h, i) => h.counts.map((count, j) => {
    const each = (h.high - h.low) / h.counts.length;
    return { row: h.row, column: h.column, low: h.low + j * each, high: h.low + (j + 1) * each, count, k: `${i},${j}` };
  }));
}

function looks() {
  const ink = css("--ink"), grid = css("--grid"), line = css("--strong-line");
  return {
    background: "transparent", font: "system-ui, sans-serif", aria: false,
    view: { stroke: null },
    axis: { labelColor: ink, titleColor: ink, gridColor: grid, domainColor: line, tickColor: line,
            labelFontSize: 13, titleFontSize: 13, titleFontWeight: "normal" },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 13, titleFontSize: 13, labelLimit: 260 },
    header: { labelColor: ink, labelFontSize: 13 },
    rule: { color: ink }, text: { color: ink, fontSize: 13 },
  };
}

function sized(spec, kind, width) {
  if (kind === "lines") spec.vconcat.forEach((p) => { p.width = Math.max(width - 90, 160); });
  if (kind === "heat") spec.width = Math.max(width - 250, 160);
  if (kind === "histograms") {
    const columns = spec.facet.column.sort.length;
    spec.spec.width = Math.max((width - 150 - 24 * columns) / columns, 40);
  }
  return spec;
}

// ---- the cursor: one list of stops, each with a place in the picture and words
function stops(chart) {
  const d = chart.data;
  if (d.kind === "lines") {
    const at = new Map();
    rowsOf(chart).filter((r) => !r.r).forEach((r) => {
      if (!at.has(r.x)) at.set(r.x, []);
      at.get(r.x).push(`${r.n} ${shown(r.y)}`);
    });
    return [Array.from(at.keys()).sort((a, b) => a - b)
      .map((x) => ({ key: x, words: `${d.x} ${shown(x)}: ${at.get(x).join(", ")}` }))];
  }
  if (d.kind === "heat") {
    return d.names.map((n, i) => d.x.map((x, j) => ({
      key: `${i},${j}`,
      words: `${n}, step ${shown(x)}: ${shown(heatValue(d, i, j))}`,
    })));
  }
  return d.parts.map((h, i) => h.counts.map((count, j) => {
    const each = (h.high - h.low) / h.counts.length;
    return { key: `${i},${j}`, words: `${h.row}, ${h.column}, ${shown(h.low + j * each)} to ${shown(h.low + (j + 1) * each)}: ${count}` };
  }));
}

class Plot {
  constructor(holder) {
    this.holder = holder;
    this.id = holder.dataset.chart;
    this.chart = page.charts[this.id];
    this.kind = this.chart.data.kind;
    this.spec = this.chart.spec;
    this.still = $(".still", holder);
    this.leads = (this.id === "flow" && page.largest) || null; // rows that lead to a derivation
    this.live = element("div", { class: "live", "aria-hidden": "true" });
    holder.append(this.live);
    this.said = element("p", { class: "said", "aria-live": "polite", id: `${this.id}-said` });
    holder.after(this.said);
    this.row = 0;
    this.place = -1;
    this.width = 0;
    this.wide = holder.clientWidth;
    this.walk();
    this.tools();
    themed.push(() => this.view && this.draw());
  }

  walk() {
    const h = this.holder;
    h.tabIndex = 0;
    h.setAttribute("role", "group");
    h.setAttribute("aria-roledescription", "chart");
    h.setAttribute("aria-label", `${this.chart.title}. Arrow keys read it out.${this.leads ? " Enter goes to the worked gradient of the layer." : ""}`);
    h.addEventListener("keydown", (event) => {
      if (event.target !== h) return;
      this.stops ||= stops(this.chart);
      if (event.key === "Enter") return this.lead(this.chart.data.names?.[this.row]);
      const line = this.stops[this.row];
      const page_ = Math.max(Math.round(line.length / 10), 1);
      const moves = {
        ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [0, page_], PageUp: [0, -page_],
        Home: [0, -1e9], End: [0, 1e9], ArrowDown: [1, 0], ArrowUp: [-1, 0],
      };
      if (event.key === "Escape") return this.move(this.row, -1);
      const by = moves[event.key];
      if (!by || (by[0] && this.stops.length < 2)) return undefined;
      event.preventDefault();
      const row = Math.min(Math.max(this.row + by[0], 0), this.stops.length - 1);
      const last = this.stops[row].length - 1;
      return this.move(row, Math.min(Math.max((by[0] ? Math.max(this.place, 0) : this.place) + by[1], 0), last));
    });
  }

  move(row, place) {
    this.row = row;
    this.place = place;
    const stop = place < 0 ? null : this.stops[row][place];
    this.point(stop && stop.key);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.said.textContent = stop ? stop.words : ""; }, SPOKEN_AFTER);
  }

  lead(layer) {
    const id = this.leads && Object.hasOwn(this.leads, layer) && this.leads[layer];
    if (id) go(id);
  }

  point(key) {
    if (this.view) this.view.signal("stop", key).run();
  }

  tools() {
    const bar = element("div", { class: "tools" });
    const losses = this.id === "learning" ? this.losses() : [];
    if (losses.length) {
      bar.append(this.toggle("Logarithmic loss", (on) => losses.forEach((y) => {
        y.scale = on ? { type: "log" } : { zero: false };
        y.axis = on ? page.powers : page.plain;
        y.title = y.title.replace(" (log scale)", "") + (on ? " (log scale)" : "");
      }), losses[0].scale.type === "log"));
    }
    if (this.kind === "heat") {
      bar.append(this.toggle(this.id === "flow" ? "In the order of the layers" : "In the order of the rows", (on) => {
        this.spec.layer.forEach((l) => { l.encoding.y.sort = on ? this.chart.data.depth : this.chart.data.names; });
      }));
    }
    if (this.id === "learning" && page.clicks) {
      this.player = element("button", { type: "button", onclick: () => this.sound() }, PLAY);
      bar.append(this.player);
    }
    if (bar.children.length) this.holder.before(bar);
  }

  toggle(words, change, on_ = false) {
    const b = element("button", { type: "button", "aria-pressed": String(on_) }, words);
    b.addEventListener("click", () => {
      const on = b.getAttribute("aria-pressed") !== "true";
      b.setAttribute("aria-pressed", String(on));
      change(on);
      this.draw();
    });
    return b;
  }

  positive(panel) {
    const ys = rowsOf(this.chart).filter((r) => r.p === panel && r.y !== null);
    return ys.length > 0 && ys.every((r) => r.y > 0);
  }

  losses() { // the y of panels that a logarithmic scale can show
    return this.spec.vconcat.filter((p, i) => this.positive(i))
      .map((p) => p.layer.find((l) => l.layer).encoding.y).filter((y) => y.title.includes("loss"));
  }

  async draw() {
    this.width = this.holder.clientWidth;
    const spec = sized(structuredClone(this.spec), this.kind, this.width - 16);
    if (this.leads) spec.layer[0].mark.cursor = "pointer";
    this.rows ||= rowsOf(this.chart);
    spec.data = { name: "table", values: this.rows };
    const made = await vegaEmbed(this.live, spec, {
      actions: false, renderer: "svg", ast: true, logLevel: vega.Error, config: looks(), defaultStyle: false,
    });
    const first = !this.view;
    if (this.view) this.view.finalize();
    this.view = made.view;
    if (this.leads) this.view.addEventListener("click", (_, item) => this.lead(item?.datum?.n));
    this.still.hidden = true;
    if (this.place >= 0) this.point(this.stops[this.row][this.place].key);
    if (first) window.addEventListener("resize", () => this.resized());
    this.holder.dataset.drawn = "yes";
  }

  resized() {
    clearTimeout(this.later);
    this.later = setTimeout(() => { if (this.holder.clientWidth !== this.width) this.draw(); }, 200);
  }

  sound() { // the first press plays, the next one stops
    if (this.stop) return this.stop();
    const line = this.chart.data.series.find((s) => !s.r);
    const column = (v) => (typeof v === "number" ? this.chart.rows.map((r) => r[v]) : v);
    const losses = column(line.y);
    this.player.textContent = "Stop";
    this.said.textContent = `Playing ${line.n}, ${SECONDS} seconds: a higher tone is a higher loss. `
      + (page.clicks.length ? `Clicks: ${page.clicks.map(([step, what]) => `${what} at step ${step}`).join(", ")}.` : "No clicks.");
    this.stop = playCurve(column(line.x).map((x, i) => [x, losses[i]]), page.clicks.map((c) => c[0]), () => {
      this.stop = null;
      this.player.textContent = PLAY;
    });
    return undefined;
  }
}

libraries.then(() => {
  const plots = $$(".plot[data-chart]").filter((h) => page.charts[h.dataset.chart].spec).map((h) => new Plot(h));
  const seen = new IntersectionObserver((entries) => entries.forEach((e) => {
    if (!e.isIntersecting) return;
    seen.unobserve(e.target);
    plots.find((p) => p.holder === e.target).draw();
  }), { rootMargin: "300px" });
  plots.forEach((p) => seen.observe(p.holder));
});
