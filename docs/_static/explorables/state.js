// One state: what a token keeps of it and what it adds, for settings that the reader chooses. Equations (2) and (3) of the scan.
"use strict";

(() => {
  const {bar, choice, el, handles, line, most, percent, range, rect, shown, slider, text} = mvnp.kit;

  // x (L,); delta, A, B, C numbers; exact: the hold for the input as well, in place of Euler's step.
  function compute({x, delta, A, B, C, exact}) {
    const kept = Math.exp(delta * A); // Ā
    const taken = exact ? (Math.expm1(delta * A) / A) * B : delta * B; // B̄
    const before = [], entered = [], h = [];
    let state = 0;
    for (const value of x) {
      before.push(kept * state);
      entered.push(taken * value);
      state = kept * state + taken * value;
      h.push(state);
    }
    const alpha = x.map((_, t) => x.map((_, s) => (s > t ? 0 : C * Math.exp(delta * A * (t - s)) * taken)));
    return {kept, taken, before, entered, h, y: h.map((value) => C * value), alpha};
  }

  mvnp.define("state", {
    start: {x: [1.5, 0, 0, 0, -1, 0, 0, 1, 0, 0], delta: Math.LN2, A: -0.5, B: 1, C: 1, exact: false, token: 7},
    compute,
    controls: (it) => [
      slider(it, {key: "delta", label: "step Δ", min: 0.02, max: 4, log: true}),
      slider(it, {key: "A", label: "rate A", min: -0.05, max: -8, log: true}),
      slider(it, {key: "B", label: "input gate B", min: -2, max: 2, step: 0.1}),
      slider(it, {key: "C", label: "output gate C", min: -2, max: 2, step: 0.1}),
      choice(it, {key: "exact", label: "the input enters by", options: [[false, "Euler, ΔB (Mamba)"], [true, "the exact hold"]]}),
      slider(it, {key: "token", label: "token that is asked", min: 0, max: it.state.x.length - 1, show: String}),
    ],
    draw(it) {
      const {x, token} = it.state, n = it.numbers, L = x.length;
      const left = 8, wide = (it.width - left) / L, column = (t) => left + t * wide;
      const top = most([n.h, n.before, n.entered], 0.5), scale = 52 / top, middle = 200;
      const largest = most(n.alpha[token], 0.05), base = 316;
      it.height = 380;
      return [
        rect(column(token), 20, wide, 360, {class: "outside"}),
        text(left, 14, "x, what comes in: drag the bars"),
        handles(it, {
          group: "x", name: "x of token", values: x, min: -2, max: 2, box: {x: left, y: 26, width: it.width - left, height: 80},
          set: (t, value) => it.set({x: x.with(t, value), token: t}),
        }),
        text(left, 136, ["h, the state (line): ", el("tspan", {class: "blue"}, "left of before"), ", ", el("tspan", {class: "orange"}, "entering")]),
        line(left, middle, it.width, middle),
        range(L).map((t) => [
          bar(column(t) + 0.15 * wide, 0.3 * wide, middle, middle - scale * n.before[t], {class: "blue"}),
          bar(column(t) + 0.5 * wide, 0.3 * wide, middle - scale * n.before[t], middle - scale * n.h[t], {class: "orange"}),
          rect(column(t) + 0.1 * wide, middle - scale * n.h[t] - 1, 0.8 * wide, 2, {class: "ink"}),
        ]),
        text(left, 278, `α, what y of token ${token} takes from each`),
        line(left, base, it.width, base),
        range(L).map((s) => [
          s <= token ? bar(column(s) + 0.2 * wide, 0.6 * wide, base, base - (28 * n.alpha[token][s]) / largest, {class: "green"}) : null,
          text(column(s) + 0.5 * wide, base + 42, s > token ? "–" : shown(n.alpha[token][s], it.width < 450 ? 1 : 2), {class: "small middle"}),
          text(column(s) + 0.5 * wide, base + 58, String(s), {class: "small middle muted"}),
        ]),
        range(L).map((t) => it.still ? null : rect(column(t), 140, wide, 240, {
          class: "hit", onclick: () => it.set({token: t}),
        })),
      ];
    },
    tell(it) {
      const {token, C} = it.state, n = it.numbers;
      return `Of the state before, each token keeps ${percent(n.kept)} (Ā = ${shown(n.kept)}), and of its own x it adds ${shown(n.taken)} times`
        + ` as much (B̄). At token ${token}: h = ${shown(n.before[token])} + ${shown(n.entered[token])} = ${shown(n.h[token])},`
        + ` y = C h = ${shown(C)} · ${shown(n.h[token])} = ${shown(n.y[token])}.`;
    },
  });
})();
