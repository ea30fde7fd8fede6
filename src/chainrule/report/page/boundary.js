"use strict";
// The decision boundary, step by step under a slider.
const scrub = $("#boundary-scrub");
if (scrub && page.boundary) {
  const b = page.boundary;
  const size = 420;
  const [x0, y0] = b.low, [x1, y1] = b.high;
  const holder = $("#boundary-live");
  const words = $("#boundary-said");
  const lines = $("#boundary-units");
  const across = (x) => ((x - x0) / (x1 - x0)) * size;
  const up = (y) => ((y1 - y) / (y1 - y0)) * size;

  function field(svg, frame) {
    const cells = Uint8Array.from(atob(frame.cells), (c) => c.charCodeAt(0));
    const each = size / b.side;
    const paths = new Map();
    for (let i = 0; i < b.side; i += 1) {
      for (let j = 0, start = 0; j < b.side; j += 1) {
        const v = cells[i * b.side + j];
        if (j + 1 < b.side && cells[i * b.side + j + 1] === v) continue;
        const w = (j + 1 - start) * each;
        paths.set(v, `${paths.get(v) || ""}M${start * each} ${i * each}h${w}v${each + 0.2}h${-w}z`);
        start = j + 1;
      }
    }
    for (const [v, d] of paths) {
      const none = v === 255;
      svg.append(drawn("path", none ? { class: "none", d } : { d, fill: b.colours[Math.floor(v / b.levels) % b.colours.length], "fill-opacity": 0.12 + 0.14 * (v % b.levels) }));
    }
  }

  function units(svg, frame) { // where a unit of the first layer is 0
    const cuts = [];
    frame.units.forEach(([w0, w1, c]) => {
      const at = [];
      for (const x of [x0, x1]) { const y = -(w0 * x + c) / w1; if (y >= y0 && y <= y1) at.push([x, y]); }
      for (const y of [y0, y1]) { const x = -(w1 * y + c) / w0; if (x > x0 && x < x1) at.push([x, y]); }
      if (at.length >= 2) cuts.push(`M${at.slice(0, 2).map(([x, y]) => `${across(x).toFixed(1)} ${up(y).toFixed(1)}`).join("L")}`);
    });
    svg.append(drawn("path", { class: "unitline", d: cuts.join("") }));
    return cuts.length;
  }

  function draw() {
    const k = Number(scrub.value);
    const frame = b.frames[k];
    let said = `Step ${frame.step}, epoch ${frame.epoch}`;
    if (typeof frame.accuracy === "number") said += `, validation accuracy ${(100 * frame.accuracy).toFixed(1)} %`;
    const svg = drawn("svg", { class: "chart", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `Decision boundary. ${said}`, style: "max-width:26rem" });
    field(svg, frame);
    if (lines.checked) said += `, ${units(svg, frame)} lines of units in view`;
    b.points.forEach((p) => svg.append(drawn("path", { class: "row", transform: `translate(${across(p[0])} ${up(p[1])})`, fill: b.colours[p[2] % 4], d: b.shapes[p[2] % 4] })));
    holder.replaceChildren(svg);
    scrub.setAttribute("aria-valuetext", said);
    words.textContent = said;
  }

  scrub.max = String(b.frames.length - 1);
  scrub.value = scrub.max;
  scrub.addEventListener("input", draw);
  lines.addEventListener("change", draw);
  $("#boundary-tools").hidden = false;
  $("#boundary-still").hidden = true;
  draw();
}
