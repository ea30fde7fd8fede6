// Computes a recorded program again, from other numbers: the ops that the engine records for a
// small dense network, in double precision.  The tests hold every value to the engine's.
"use strict";
(function (scope) {
  const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

  // The error function to a few units in the last place: a series of positive terms, and the
  // asymptotic fraction where 1 - erf is small.
  function erf(x) {
    const a = Math.abs(x);
    if (!(a < 6)) return Number.isNaN(x) ? x : Math.sign(x);
    if (a < 2.5) {
      let term = a, total = a;
      for (let n = 1; term > total * 1e-17; n++) {
        term *= (2 * a * a) / (2 * n + 1);
        total += term;
      }
      return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * total;
    }
    let fraction = a;
    for (let n = 120; n > 0; n--) fraction = a + n / 2 / fraction;
    return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
  }

  // nan is what comes of nan, as in the engine.
  const larger = (a, b) => (Number.isNaN(a) || a > b ? a : b);
  const smaller = (a, b) => (Number.isNaN(a) || a < b ? a : b);

  const POINTWISE = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    neg: (x) => -x,
    pow: (a, b) => (b === 2 ? a * a : Math.pow(a, b)),
    exp: Math.exp,
    expm1: Math.expm1,
    log: Math.log,
    log1p: Math.log1p,
    sqrt: Math.sqrt,
    abs: Math.abs,
    sign: Math.sign,
    tanh: Math.tanh,
    sigmoid,
    erf,
    relu: (x) => larger(x, 0),
    softplus: (x) => larger(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    maximum: larger,
    minimum: smaller,
    lt: (a, b) => Number(a < b),
    le: (a, b) => Number(a <= b),
    gt: (a, b) => Number(a > b),
    ge: (a, b) => Number(a >= b),
    eq: (a, b) => Number(a === b),
    ne: (a, b) => Number(a !== b),
    logical_and: (a, b) => Number(a !== 0 && b !== 0),
    logical_or: (a, b) => Number(a !== 0 || b !== 0),
    where: (c, a, b) => (c ? a : b),
    detach: (x) => x,
    cast: (x) => x,
  };

  const size = (shape) => shape.reduce((a, b) => a * b, 1);

  // For each place of `shape`, where a value of shape `from` lies that is repeated along it.
  function repeated(from, shape) {
    const places = new Int32Array(size(shape));
    const lead = shape.length - from.length;
    let run = 1;
    const strides = shape.map(() => 0);
    for (let k = from.length - 1; k >= 0; k--) {
      strides[lead + k] = from[k] === 1 ? 0 : run;
      run *= from[k];
    }
    return walk(shape, strides, places);
  }

  // The places of all indices in order, counted up as an odometer counts.
  function walk(shape, strides, places) {
    const index = shape.map(() => 0);
    let at = 0;
    for (let i = 0; i < places.length; i++) {
      places[i] = at;
      for (let k = shape.length - 1; k >= 0; k--) {
        at += strides[k];
        if (++index[k] < shape[k]) break;
        at -= strides[k] * shape[k];
        index[k] = 0;
      }
    }
    return places;
  }

  function taken(data, places) {
    const y = new Float64Array(places.length);
    for (let i = 0; i < y.length; i++) y[i] = data[places[i]];
    return y;
  }

  const SHAPED = {
    full: (set, shape) => new Float64Array(size(shape)).fill(set.value),
    reshape: (set, shape, x) => x.data,
    expand: (set, shape, x) => taken(x.data, repeated(x.shape, shape)),
    permute: (set, shape, x) => {
      const strides = x.shape.map((_, k) => size(x.shape.slice(k + 1)));
      const places = new Int32Array(size(shape));
      return taken(x.data, walk(shape, set.axes.map((k) => strides[k]), places));
    },
    sum: (set, shape, x) => {
      const kept = x.shape.map((n, k) => (set.axis.includes(k) ? 1 : n));
      const places = repeated(kept, x.shape);
      const y = new Float64Array(size(shape));
      for (let i = 0; i < places.length; i++) y[places[i]] += x.data[i];
      return y;
    },
    matmul: (set, shape, a, b) => {
      const [rows, columns] = shape;
      const inner = set.ta ? a.shape[0] : a.shape[1];
      const y = new Float64Array(rows * columns);
      const [down, across] = set.tb ? [1, inner] : [columns, 1];
      for (let i = 0; i < rows; i++)
        for (let k = 0; k < inner; k++) {
          const left = set.ta ? a.data[k * rows + i] : a.data[i * inner + k];
          for (let j = 0; j < columns; j++)
            y[i * columns + j] += left * b.data[k * down + j * across];
        }
      return y;
    },
    softmax: (set, shape, x) => along(x, (v) => {
      const top = v.reduce(larger), e = v.map((a) => Math.exp(a - top));
      const total = e.reduce((a, b) => a + b);
      return e.map((a) => a / total);
    }),
    log_softmax: (set, shape, x) => along(x, (v) => {
      const top = v.reduce(larger);
      const total = Math.log(v.reduce((s, a) => s + Math.exp(a - top), 0));
      return v.map((a) => a - top - total);
    }),
  };

  // A function of each row.
  function along(x, f) {
    const width = x.shape[x.shape.length - 1];
    const y = new Float64Array(x.data.length);
    for (let i = 0; i < y.length; i += width) y.set(f(x.data.subarray(i, i + width)), i);
    return y;
  }

  // The outputs of a program by key, from numbers by key (lists, row by row).
  function evaluate(program, inputs) {
    const made = [];
    const value = (at) => {
      if (typeof at === "number") return made[at];
      if (typeof at === "object") return at;
      return { shape: program.inputs[at], data: inputs[at] };
    };
    for (const node of program.nodes) {
      const operands = node.in.map(value);
      const shaped = SHAPED[node.op], pointwise = POINTWISE[node.op];
      if (!shaped && !pointwise) throw new Error("unknown op " + node.op);
      let data;
      if (shaped) data = shaped(node.set, node.shape, ...operands);
      else {
        data = new Float64Array(size(node.shape));
        const [a, b, c] = operands.map((o) => (o.data ? (i) => o.data[i] : () => o.number));
        if (c) for (let i = 0; i < data.length; i++) data[i] = pointwise(a(i), b(i), c(i));
        else if (b) for (let i = 0; i < data.length; i++) data[i] = pointwise(a(i), b(i));
        else for (let i = 0; i < data.length; i++) data[i] = pointwise(a(i));
      }
      made.push({ shape: node.shape, data });
    }
    const found = {};
    for (const key in program.outputs) found[key] = Array.from(value(program.outputs[key]).data);
    return found;
  }

  scope.evaluate = evaluate;
})(globalThis);
