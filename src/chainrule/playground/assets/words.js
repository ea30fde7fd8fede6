// Numbers and formulas as texts, as chainrule.playground.document writes them.
"use strict";
(function (scope) {
  const LONGEST = 8; // terms of a sum that are written, as in document.py

  // state: {values: numbers by key, hidden: the number that a question covers, or null}.
  scope.makeWords = function (trace, state) {
    // As chainrule.derivation.writing.number writes it.
    function written(v, digits = 6) {
      if (Number.isNaN(v)) return "nan";
      if (!Number.isFinite(v)) return v > 0 ? "inf" : "-inf";
      const size = Math.abs(v);
      if (Number.isInteger(v) && size < 1e6) return String(v === 0 ? 0 : v);
      if (size >= Math.pow(10, -(digits - 2)) && size < 1e6) {
        const text = v.toFixed(digits), short = String(Number(v.toPrecision(digits)));
        return Number(short) === v && short.length < text.length ? short : text;
      }
      return v.toExponential(digits - 3).replace(/e([+-])(\d)$/, "e$10$2");
    }

    const name = (ref) => trace.labels[ref[0]][ref[1]];
    const value = (ref) => state.values[ref[0]][ref[1]];
    const bracketed = (text) => (text.startsWith("-") ? "(" + text + ")" : text);
    const same = (a, b) => a && b && a[0] === b[0] && a[1] === b[1];
    const asNumber = (ref) => (same(ref, state.hidden) ? "?" : bracketed(written(value(ref))));

    function sumText(terms, word, numbers) {
      const products = terms.map((t) => t.reduce((p, r) => p * value(r), 1));
      const order = terms.map((_, i) => i)
        .sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]) || a - b);
      const left = new Set(terms.length > LONGEST ? order.slice(LONGEST - 2) : []);
      const texts = terms.map((t) => t.map(word).join(" × ")).filter((_, i) => !left.has(i));
      if (left.size) {
        const rest = [...left].reduce((s, i) => s + products[i], 0);
        texts.push(numbers ? bracketed(written(rest)) : "(" + left.size + " more)");
      }
      return texts.join(" + ");
    }

    function formula(step, word, numbers) {
      return step.formula.map((p) => {
        if (typeof p === "string") return p;
        return Array.isArray(p) ? word(p) : sumText(p.sum, word, numbers);
      }).join("");
    }

    const refs = (step) => step.formula.flatMap((p) =>
      typeof p === "string" ? [] : Array.isArray(p) ? [p] : p.sum.flat());

    return { written, name, value, bracketed, same, asNumber, formula, refs, LONGEST };
  };
})(globalThis);
