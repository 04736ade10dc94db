// Remember token 4: the reader sets the step of each token so that the state at the end is what token 4 has written.
"use strict";

(() => {
  const {bars, button, handles, labels, most, percent, range, rect, shown, text} = mvnp.kit;
  const TARGET = 4, LOCKED = 4, GOAL = 0.9;

  // x and delta (L,), A a number; B = C = 1. written[s] is what is left at the end of what token s wrote; h their running sum.
  function compute({x, delta, A, target}) {
    let state = 0;
    const h = x.map((value, t) => (state = Math.exp(delta[t] * A) * state + delta[t] * value));
    const written = x.map((value, s) => Math.exp(A * delta.slice(s + 1).reduce((a, b) => a + b, 0)) * delta[s] * value);
    const all = written.reduce((sum, value) => sum + Math.abs(value), 0);
    return {h, written, share: all > 0 ? Math.abs(written[target]) / all : 0};
  }

  const start = {x: [1.2, -0.8, 1, -1.1, 1, 1.3, -0.9, 0.8], delta: range(8).map(() => 0.7), A: -1, target: TARGET};
  mvnp.define("remember", {
    start, compute,
    controls: (it) => button("Start again", () => it.set({delta: [...start.delta]})),
    draw(it) {
      const {x, delta} = it.state, n = it.numbers, L = x.length, wide = (it.width - 8) / L;
      const box = (y, height) => ({x: 8, y, width: it.width - 8, height});
      const mine = (colour) => (t) => ({class: t === TARGET ? "green" : colour});
      const top = most(n.written, 0.5), open = {...box(130, 90), x: 8 + LOCKED * wide, width: (L - LOCKED) * wide};
      it.height = 374;
      return [
        rect(8 + TARGET * wide, 20, wide, 348, {class: "outside"}),
        text(8, 14, "x, what each token says"),
        bars(x, {min: -1.5, max: 1.5, box: box(24, 70), of: mine("muted")}),
        text(8, 116, "Δ: drag the last four; the first are fixed"),
        bars(delta.slice(0, LOCKED), {min: 0, max: 4, box: {...box(130, 90), width: LOCKED * wide}, of: () => ({class: "muted"})}),
        handles(it, {
          group: "delta", name: "step of token", values: delta.slice(LOCKED), min: 0, max: 4, box: open, colour: "blue", first: LOCKED,
          set: (i, value) => it.set({delta: delta.with(i + LOCKED, value)}),
        }),
        labels(delta.map((value) => shown(value, 2)), {box: box(0, 0), y: 235}),
        text(8, 264, "what is left of each at the end"),
        bars(n.written, {min: -top, max: top, box: box(274, 72), of: mine("orange")}),
        labels(range(L).map(String), {box: box(0, 0), y: 364}),
      ];
    },
    tell(it) {
      const {share, written} = it.numbers;
      const said = `Of what is left at the end, signs aside, ${percent(share)} is token ${TARGET}'s (${shown(written[TARGET])}).`;
      return share >= GOAL
        ? `${said} Done: a large step made room and wrote it, and small steps passed over what came later.`
        : `${said} ${Math.round(100 * GOAL)} % is the goal.`;
    },
  });
})();
