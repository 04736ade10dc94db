// The adjoint: the scan forward and backward, step by step, and dA adding up. Equations (2) and (4) to (9) of the scan.
"use strict";

(() => {
  const {bar, bars, check, clamp, handles, labels, line, most, player, range, rect, shown, slider, text} = mvnp.kit;

  // x, dy, delta (L,); A, B, C numbers, one channel with one state; forget: without the factor Ā in (5), which is wrong.
  // terms[t] is e_t Δ_t, and dA their sum; difference: dA by central differences.
  function compute({x, dy, delta, A, B, C, forget}) {
    const L = x.length, decay = (t, rate = A) => Math.exp(delta[t] * rate);
    const states = (rate) => {
      let state = 0;
      return x.map((value, t) => (state = decay(t, rate) * state + delta[t] * B * value));
    };
    const h = states(A), g = Array(L).fill(0);
    for (let t = L - 1; t >= 0; t--) g[t] = C * dy[t] + (t + 1 < L ? decay(t + 1) * g[t + 1] : 0);
    const before = [0, ...h.slice(0, -1)];
    const e = g.map((value, t) => value * before[t] * (forget ? 1 : decay(t)));
    const terms = e.map((value, t) => value * delta[t]);
    const loss = (rate) => states(rate).reduce((sum, state, t) => sum + dy[t] * C * state, 0);
    const small = 1e-4;
    return {
      h, g, before, terms, dA: terms.reduce((a, b) => a + b, 0),
      dx: g.map((value, t) => delta[t] * value * B), ddelta: g.map((value, t) => e[t] * A + x[t] * value * B),
      dB: g.map((value, t) => value * delta[t] * x[t]), dC: h.map((state, t) => dy[t] * state),
      difference: (8 * (loss(A + small) - loss(A - small)) - (loss(A + 2 * small) - loss(A - 2 * small))) / (12 * small),
    };
  }

  mvnp.define("adjoint", {
    start: {x: [1.4, 0, -1, 0.6, 0], dy: [0, 0, 0, 0, 1], delta: [0.7, 0.7, 0.4, 0.7, 1], A: -0.8, B: 1, C: 1, forget: false, step: 10},
    compute,
    controls: (it) => [
      player(it, {key: "step", last: 2 * it.state.x.length, pause: 1100}),
      slider(it, {key: "A", label: "rate A", min: -0.1, max: -4, log: true}),
      check(it, {key: "forget", label: "forget the factor Ā"}),
    ],
    draw(it) {
      const {x, dy, step} = it.state, n = it.numbers, L = x.length;
      const right = 76, wide = (it.width - right) / L, box = (y, height) => ({x: 0, y, width: it.width - right, height});
      const ahead = clamp(step, 0, L), back = clamp(step - L, 0, L);
      const seen = (values, from, to) => values.map((value, t) => (t >= from && t < to ? value : 0));
      const now = step === 0 ? -1 : step <= L ? step - 1 : 2 * L - step;
      const topH = most(n.h, 0.5), topG = most(n.g, 0.5), topT = most([n.terms, n.dA], 0.05);
      const total = n.terms.slice(L - back).reduce((a, b) => a + b, 0), middle = 420, high = 32;
      it.height = 476;
      return [
        now < 0 ? null : rect(now * wide, 18, wide, 454, {class: "outside"}),
        text(0, 13, "x: drag"),
        handles(it, {group: "x", name: "x of token", values: x, min: -2, max: 2, box: box(24, 56), set: (t, v) => it.set({x: x.with(t, v)})}),
        text(0, 104, "h, forward →"),
        bars(seen(n.h, 0, ahead), {min: -topH, max: topH, box: box(112, 60), of: () => ({class: "blue"})}),
        text(0, 196, "dy: drag"),
        handles(it, {group: "dy", name: "dy of token", values: dy, min: -2, max: 2, box: box(206, 56), set: (t, v) => it.set({dy: dy.with(t, v)})}),
        text(0, 286, "g, backward ←: what more of h is worth"),
        bars(seen(n.g, L - back, L), {min: -topG, max: topG, box: box(294, 60), of: () => ({class: "orange"})}),
        text(0, 378, "each token's term of dA, and their sum"),
        bars(seen(n.terms, L - back, L), {min: -topT, max: topT, box: box(middle - high, 2 * high), of: () => ({class: "green"})}),
        line(it.width - right + 8, middle, it.width, middle),
        bar(it.width - right + 18, 34, middle, middle - (high * total) / topT, {class: "green"}),
        text(it.width, middle - high - 8, `dA ${shown(total, 3)}`, {class: "small end"}),
        labels(range(L).map(String), {box: box(0, 0), y: 470}),
      ];
    },
    tell(it) {
      const {x, delta, A, step, forget} = it.state, n = it.numbers, L = x.length;
      const ends = `All terms add up to dA = ${shown(n.dA, 4)}; central differences say ${shown(n.difference, 4)}.`;
      if (step === 0) return "Go on step by step: first forward through the tokens, then backward.";
      if (step <= L) {
        const t = step - 1;
        return `h${sub(t)} = ${shown(Math.exp(delta[t] * A))} · ${shown(n.before[t])} + ${shown(n.h[t] - Math.exp(delta[t] * A) * n.before[t])}`
          + ` = ${shown(n.h[t])}: what was there, faded, and what enters.`;
      }
      const t = 2 * L - step, last = t === L - 1;
      const g = last
        ? `g${sub(t)} = C dy${sub(t)} = ${shown(n.g[t])}.`
        : `g${sub(t)} = ${shown(n.g[t] - Math.exp(delta[t + 1] * A) * n.g[t + 1])} + ${shown(Math.exp(delta[t + 1] * A))} · ${shown(n.g[t + 1])} = ${shown(n.g[t])}.`;
      const term = ` Its term: g h Ā Δ = ${shown(n.g[t])} · ${shown(n.before[t])}${forget ? "" : ` · ${shown(Math.exp(delta[t] * A))}`} · ${shown(delta[t])}`
        + ` = ${shown(n.terms[t])}.`;
      return g + term + (t === 0 ? ` ${ends}` : "");
    },
  });

  function sub(t) {
    return "₀₁₂₃₄₅₆₇₈₉"[t];
  }
})();
