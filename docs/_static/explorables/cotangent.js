// Softmax and LayerNorm: inputs and cotangents to drag, and the gradient that comes of them.
"use strict";

(() => {
  const {bars, button, choice, el, handles, labels, most, range, shown, text} = mvnp.kit;

  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const mean = (values) => sum(values) / values.length;
  const FORWARD = {
    softmax(x) {
      const m = Math.max(...x), e = x.map((value) => Math.exp(value - m)), all = sum(e);
      return e.map((value) => value / all);
    },
    layernorm(x) {
      const mu = mean(x), r = 1 / Math.sqrt(mean(x.map((value) => (value - mu) ** 2)) + 1e-5);
      return x.map((value) => (value - mu) * r);
    },
  };

  // x, dy (C,). LayerNorm has γ = 1 and β = 0. `along`: dx summed against 1, and for LayerNorm against x̂ as well.
  function compute({layer, x, dy}) {
    const y = FORWARD[layer](x);
    let dx;
    if (layer === "softmax") {
      const common = sum(y.map((value, i) => value * dy[i]));
      dx = y.map((value, i) => value * (dy[i] - common));
    } else {
      const mu = mean(x), r = 1 / Math.sqrt(mean(x.map((value) => (value - mu) ** 2)) + 1e-5);
      const level = mean(dy), tilt = mean(dy.map((value, i) => value * y[i]));
      dx = dy.map((value, i) => r * (value - level - y[i] * tilt));
    }
    return {y, dx, along: {one: sum(dx), y: sum(dx.map((value, i) => value * y[i]))}};
  }

  const start = {layer: "softmax", x: [0.5, 1.5, -0.5, 0, 2, -1], dy: [0, 1, 0, 0, 0, 0]};
  mvnp.define("cotangent", {
    start, compute,
    controls: (it) => [
      choice(it, {key: "layer", label: "the layer", options: [["softmax", "Softmax"], ["layernorm", "LayerNorm (γ = 1, β = 0)"]]}),
      el("span", {class: "explorable-player"},
        button("All dy = 1", () => it.set({dy: it.state.dy.map(() => 1)})),
        button("dy = y", () => it.set({dy: it.numbers.y.map((value) => Math.round(10 * value) / 10)})),
        button("One dy = 1", () => it.set({dy: [...start.dy]}))),
    ],
    draw(it) {
      const {layer, x, dy} = it.state, n = it.numbers, half = it.width / 2 - 10, right = it.width / 2 + 10;
      const box = (left, y, height = 92) => ({x: left, y, width: half, height});
      const top = layer === "softmax" ? 1 : 2.4, topX = most(n.dx, 0.3);
      const numbers = (values, left, y) => labels(values.map((value) => (half < 200 ? brief(value) : shown(value, 2))), {box: box(left, 0), y, more: ""});
      it.height = 298;
      return [
        text(0, 13, "x: drag"),
        handles(it, {group: "x", name: "x", values: x, min: -3, max: 3, box: box(0, 24), set: (i, v) => it.set({x: x.with(i, v)})}),
        text(right, 13, "y"),
        bars(n.y, {min: layer === "softmax" ? 0 : -top, max: top, box: box(right, 24), of: () => ({class: "blue"})}),
        numbers(n.y, right, 136),
        text(right, 165, "dy: drag"),
        handles(it, {group: "dy", name: "dy", values: dy, min: -2, max: 2, box: box(right, 176), set: (i, v) => it.set({dy: dy.with(i, v)})}),
        text(0, 165, "dx"),
        bars(n.dx, {min: -topX, max: topX, box: box(0, 176), of: () => ({class: "orange"})}),
        numbers(n.dx, 0, 288),
        numbers(x, 0, 136), numbers(dy, right, 288),
      ];
    },
    tell(it) {
      const {layer, dy} = it.state, n = it.numbers, nothing = most(n.dx, 0) < 1e-9;
      if (nothing && dy.every((value) => value === dy[0])) {
        return layer === "softmax"
          ? "All cotangents alike, and dx is 0: the outputs always add up to 1, so that their sum cannot be changed. A check with ones sees nothing here."
          : "All cotangents alike, and dx is 0: the outputs always have the mean 0, so that their sum cannot be changed. A check with ones sees nothing here.";
      }
      return layer === "softmax"
        ? `The entries of dx add up to ${shown(n.along.one)}: what one weight gains, the others lose.`
        : `The entries of dx add up to ${shown(n.along.one)}, and weighted with y to ${shown(n.along.y, 2)}: to shift or to stretch x changes nothing`
          + " (but for the small ε).";
    },
  });

  // One decimal and no zero before it, for a phone.
  function brief(value) {
    return Math.abs(value) < 0.05 ? "0" : String(Number(value.toFixed(1))).replace("0.", ".").replace("-", "−");
  }
})();
