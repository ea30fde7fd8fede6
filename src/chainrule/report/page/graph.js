"use strict";
// The computation graph with modules that unfold into their units, laid out by dagre.
const graphHolder = $("#graph-live");
if (graphHolder && page.graph) libraries.then(() => {
  const g = page.graph;
  const open = new Set();
  const status = $("#graph-said");
  const unitsOf = (group) => g.units.filter((u) => u.group === group);

  const ends = (id) => (open.has(id) ? unitsOf(id).map((u) => u.id) : [id]);
  function dropped() { // what lies between two layers whose units are joined by their weights
    const order = g.nodes.map((n) => n.id);
    const gone = new Set();
    g.columns.slice(1).forEach((c, i) => {
      if (!open.has(c) || !open.has(g.columns[i])) return;
      order.slice(order.indexOf(g.columns[i]) + 1, order.indexOf(c)).forEach((id) => gone.add(id));
    });
    return gone;
  }

  function parts() {
    const gone = dropped();
    const nodes = g.nodes.filter((n) => !gone.has(n.id)).flatMap((n) => (open.has(n.id) ? unitsOf(n.id) : [n]));
    const edges = g.unit_edges.filter((e) => open.has(e.source.split(".")[0]) && open.has(e.target.split(".")[0]));
    const direct = new Set(edges.map((e) => `${e.source.split(".")[0]}>${e.target.split(".")[0]}`));
    for (const e of g.edges) {
      if (gone.has(e.source) || gone.has(e.target)) continue;
      const whole = !open.has(e.source) && !open.has(e.target);
      for (const a of ends(e.source)) {
        for (const b of ends(e.target)) {
          if (!direct.has(`${e.source}>${e.target}`)) edges.push({ ...e, source: a, target: b, value: whole ? e.value : "", gradient: whole ? e.gradient : "" });
        }
      }
    }
    return { nodes, edges };
  }

  function holds(e) { // of the weights between two layers a few are enough to lay them out
    if (!e.weight) return true;
    const from = unitsOf(e.source.split(".")[0]).map((u) => u.id);
    const to = unitsOf(e.target.split(".")[0]).map((u) => u.id);
    const a = from.indexOf(e.source), b = to.indexOf(e.target);
    return from.length <= to.length ? b % from.length === a : a % to.length === b;
  }

  function laidOut(nodes, edges) {
    const d = new dagre.graphlib.Graph({ multigraph: true }).setGraph({ rankdir: "TB", nodesep: 14, edgesep: open.size ? 0 : 10, ranksep: open.size ? 64 : 46, marginx: 8, marginy: 8 });
    d.setDefaultEdgeLabel(() => ({}));
    nodes.forEach((n) => d.setNode(n.id, { width: n.group ? 128 : Math.max(n.label.length, n.kind.length) * 7.4 + 24, height: 42 }));
    edges.forEach((e, i) => holds(e) && d.setEdge(e.source, e.target, e.value && !e.weight ? { width: 250, height: 18, labelpos: "c" } : { width: 0, height: 0 }, String(i)));
    dagre.layout(d);
    return d;
  }

  function draw(focus) {
    const { nodes, edges } = parts();
    const d = laidOut(nodes, edges);
    const size = d.graph();
    const svg = drawn("svg", { class: "chart", viewBox: `0 0 ${size.width} ${size.height}`, style: `min-width:${Math.min(size.width, 1600)}px;max-width:${size.width}px`, role: "group", "aria-label": "Computation graph" });
    const defs = drawn("defs", {});
    const tip = drawn("marker", { id: "tip-live", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
    tip.append(drawn("path", { class: "tip", d: "M0 0L8 4L0 8z" }));
    defs.append(tip);
    svg.append(defs);
    const largest = Math.max(1e-300, ...edges.map((e) => Math.abs(e.weight || 0)));
    edges.forEach((e, i) => {
      const way = e.weight ? null : d.edge({ v: e.source, w: e.target, name: String(i) });
      const a = d.node(e.source), b = d.node(e.target);
      const points = e.weight ? [{ x: a.x, y: a.y + a.height / 2 }, { x: b.x, y: b.y - b.height / 2 }] : way.points;
      const line = points.map((p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("L");
      const path = e.weight
        ? drawn("path", { class: "weight", "data-key": e.key, d: `M${line}`, stroke: e.weight >= 0 ? "#0072B2" : "#D55E00", "stroke-width": 0.8 + (3 * Math.abs(e.weight)) / largest, ...(e.weight < 0 ? { "stroke-dasharray": "5 3" } : {}) })
        : drawn("path", { class: "flow", d: `M${line}`, style: "marker-end:url(#tip-live)" });
      if (e.weight) path.append(drawn("title", {}, `weight ${e.value}, gradient ${e.gradient}`));
      svg.append(path);
      if (e.value && !e.weight) {
        svg.append(drawn("text", { class: "small", x: way.x + 8, y: way.y - 4 }, `gradient ${e.gradient}`));
        svg.append(drawn("text", { class: "small", x: way.x + 8, y: way.y + 12 }, `value ${e.value}`));
      }
    });
    nodes.forEach((n) => svg.append(box(n, d.node(n.id))));
    graphHolder.replaceChildren(svg);
    if (focus) { const again = $(`[data-node="${focus}"]`, svg); if (again) again.focus(); }
  }

  function box(n, at) {
    const group = n.group || n.id;
    const folds = unitsOf(group).length > 0;
    const e = drawn("g", { transform: `translate(${at.x - at.width / 2} ${at.y - at.height / 2})`, "data-node": n.id });
    e.append(drawn("rect", { class: "box", width: at.width, height: at.height, rx: n.group ? 20 : 6 }));
    e.append(drawn("text", { class: "strong", x: at.width / 2, y: 18, "text-anchor": "middle" }, n.label));
    e.append(drawn("text", { class: "small", x: at.width / 2, y: 34, "text-anchor": "middle" }, n.kind));
    if (!folds) return e;
    const name = (g.nodes.find((x) => x.id === group) || n).label;
    e.setAttribute("tabindex", "0");
    e.setAttribute("role", "button");
    e.setAttribute("aria-expanded", String(open.has(group)));
    e.setAttribute("aria-label", n.group ? `${name}, unit ${n.label}: ${n.kind}. Fold` : `${n.label}, ${n.kind}. Unfold its units`);
    e.style.cursor = "pointer";
    const flip = () => {
      if (open.has(group)) open.delete(group); else open.add(group);
      status.textContent = `${name} is ${open.has(group) ? "unfolded" : "folded"}`;
      draw(open.has(group) ? unitsOf(group)[0].id : group);
    };
    e.addEventListener("click", flip);
    e.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); flip(); }
    });
    return e;
  }

  draw();
  $("#graph-still").hidden = true;
  graphHolder.hidden = false;
  const all = $("#graph-all");
  all.closest(".tools").hidden = !g.units.length;
  all.addEventListener("click", () => {
    const unfold = open.size === 0;
    g.units.forEach((u) => (unfold ? open.add(u.group) : open.delete(u.group)));
    all.setAttribute("aria-pressed", String(unfold));
    status.textContent = unfold ? "All layers are unfolded" : "All layers are folded";
    draw();
  });
});
