// The moments of a training: their weights, and the map of the decisions with its lines.
"use strict";
(function (scope) {
  const SVG = "http://www.w3.org/2000/svg";
  const $ = (id) => document.getElementById(id);

  // page: {copy, compute, number, written} of page.js.
  scope.makeTraining = function (trace, state, page) {
    const training = trace.training, map = training && training.map;
    const examples = training && training.examples;
    // What was trained in float32 has its numbers back when it is rounded to float32.
    const exact = training && training.dtype === "float32" ? Math.fround : (v) => v;
    const SIDE = 520, MARGIN = 30, MARKS = 5;

    function moment() {
      const at = Number($("frame").value), m = training.moments[at];
      const text = m.at + " (" + (at + 1) + " of " + training.moments.length + "): loss " +
        page.written(page.number(m.loss)) +
        (m.accuracy === null ? "" : ", " + (100 * m.accuracy).toFixed(1) + " % right");
      const inputs = page.copy(state.values);
      for (const k in m.weights) inputs[k] = m.weights[k].map(exact);
      $("frame").setAttribute("aria-valuetext", text);
      page.compute(inputs, "weights of " + m.at + ": ");
      $("moment").textContent = text +
        ". The steps above use these weights; this example's loss is " + page.written(state.values.L[0]) + ".";
    }

    function spot(x) {
      return [0, 1].map((k) => {
        const share = (x[k] - map.low[k]) / (map.high[k] - map.low[k]);
        return MARGIN + SIDE * (k ? 1 - share : share);
      });
    }

    function drawMap() {
      const n = map.grid, points = [];
      for (let r = 0; r < n; r++)
        for (let c = 0; c < n; c++)
          points.push(map.low[0] + ((c + 0.5) / n) * (map.high[0] - map.low[0]),
            map.low[1] + ((n - r - 0.5) / n) * (map.high[1] - map.low[1]));
      for (const x of examples.x) points.push(exact(x[0]), exact(x[1]));
      const inputs = Object.assign({}, state.values, { x: points });
      const out = evaluate(map.program, inputs).out, width = out.length / (points.length / 2);
      const classOf = (i) => {
        let best = 0;
        for (let k = 1; k < width; k++) if (out[i * width + k] > out[i * width + best]) best = k;
        return best;
      };
      const unit = SIDE / n, areas = [], share = examples.classes.map(() => 0);
      for (let r = 0; r < n; r++) {
        let start = 0;
        for (let c = 1; c <= n; c++) {
          const k = classOf(r * n + start);
          if (c < n && classOf(r * n + c) === k) continue;
          share[k] += c - start;
          const box = document.createElementNS(SVG, "rect");
          const set = { class: "area c" + (k % MARKS),
            x: MARGIN + start * unit, y: MARGIN + r * unit, width: (c - start) * unit, height: unit };
          for (const a in set) box.setAttribute(a, set[a]);
          areas.push(box);
          start = c;
        }
      }
      $("areas").replaceChildren(...areas);
      const right = examples.y.filter((k, i) => classOf(n * n + i) === k).length;
      $("here").textContent = right + " of " + examples.y.length + " examples are right; of the " +
        "plane shown, class " + share.map((s, k) =>
          examples.classes[k] + " " + ((100 * s) / n / n).toFixed(0) + " %").join(", ") + ".";
      const [x, y] = spot(state.values.x);
      $("example").setAttribute("cx", x);
      $("example").setAttribute("cy", y);
      drawLines();
    }

    // Where the weighted sum of a first unit is 0, within the frame.
    function border(unit) {
      const units = trace.network.layers[0].units, [mean, std] = trace.network.scale || [0, 1];
      const w = [state.values.W1[unit] / std, state.values.W1[units + unit] / std];
      const b = (state.values.b1 ? state.values.b1[unit] : 0) - mean * (w[0] + w[1]);
      const ends = [];
      for (const k of [0, 1])
        for (const edge of [map.low[k], map.high[k]]) {
          const p = [0, 0];
          p[k] = edge;
          p[1 - k] = -(b + w[k] * edge) / w[1 - k];
          if (p[1 - k] >= map.low[1 - k] && p[1 - k] <= map.high[1 - k]) ends.push(p);
        }
      return ends.length >= 2 ? [ends[0], ends[ends.length - 1]] : null;
    }

    function drawLines() {
      const chosen = $("line").value, lines = [];
      if (chosen === "none") return $("lines").replaceChildren();
      for (let u = 0; u < trace.network.layers[0].units; u++) {
        const ends = border(u);
        if (!ends || (chosen !== "" && Number(chosen) !== u)) continue;
        const l = document.createElementNS(SVG, "line"), t = document.createElementNS(SVG, "text");
        const [[x1, y1], [x2, y2]] = ends.map(spot), at = 0.15 + 0.7 * ((u * 0.37) % 1);
        const set = { class: "line" + (chosen === "" ? "" : " on"), x1, y1, x2, y2 };
        for (const a in set) l.setAttribute(a, set[a]);
        t.setAttribute("x", x1 + at * (x2 - x1));
        t.setAttribute("y", y1 + at * (y2 - y1));
        t.textContent = String(u + 1);
        lines.push(l, t);
      }
      $("lines").replaceChildren(...lines);
    }

    return { map, examples, exact, moment, drawMap, drawLines };
  };
})(globalThis);
