// Windows: how a map is cut, what is padding, and what of a query's attention goes there with and without masking.
"use strict";

(() => {
  const {check, el, line, percent, range, rect, slider, text} = mvnp.kit;

  // windows[w][i]: the number of the token at place i of window w, row by row; −1: padding. For a query among the tokens: its window
  // and its place there, and what attention gives to each place where all scores are alike.
  function compute({H, W, P, token, masked}) {
    const rows = Math.ceil(H / P), columns = Math.ceil(W / P);
    const windows = range(rows * columns).map((w) => range(P * P).map((i) => {
      const row = Math.floor(w / columns) * P + Math.floor(i / P), column = (w % columns) * P + (i % P);
      return row < H && column < W ? row * W + column : -1;
    }));
    const window = windows.findIndex((places) => places.includes(token));
    const seen = windows[window].map((number) => (masked && number < 0 ? 0 : 1));
    const all = seen.reduce((a, b) => a + b, 0);
    const weights = seen.map((one) => one / all);
    const lost = weights.reduce((sum, weight, i) => (windows[window][i] < 0 ? sum + weight : sum), 0);
    return {rows, columns, windows, window, place: windows[window].indexOf(token), weights, lost, pairs: rows * columns * P ** 4};
  }

  const pixels = (tokens) => `${tokens} (${16 * tokens} px)`; // at level 2

  mvnp.define("windows", {
    start: {H: 7, W: 10, P: 4, token: 58, masked: false},
    compute,
    controls(it) {
      const {H, W, token} = it.state;
      const resize = (changes) => it.set({...changes, token: Math.min(token, (changes.H || H) * (changes.W || W) - 1)});
      const sizes = {...it, set: resize};
      return [
        slider(sizes, {key: "H", label: "rows", min: 2, max: 14, show: pixels}),
        slider(sizes, {key: "W", label: "columns", min: 2, max: 14, show: pixels}),
        slider(it, {key: "P", label: "window", min: 2, max: 8, show: (P) => `${P}×${P}`}),
        slider(it, {key: "token", label: "query", min: 0, max: H * W - 1, show: (i) => `row ${Math.floor(i / W)}, column ${i % W}`}),
        check(it, {key: "masked", label: "mask the padding"}),
      ];
    },
    draw(it) {
      const {P, W, token} = it.state, {rows, columns, windows, window, weights} = it.numbers;
      const cell = Math.min(34, (it.width - 4) / (columns * P)), left = (it.width - columns * P * cell) / 2;
      const most = Math.max(...weights);
      it.height = rows * P * cell + 4;
      return windows.map((places, w) => {
        const x = left + (w % columns) * P * cell, y = 2 + Math.floor(w / columns) * P * cell;
        return el("g", {},
          places.map((number, i) => {
            const cx = x + (i % P) * cell, cy = y + Math.floor(i / P) * cell;
            return el("g", number < 0 || it.still ? {} : {class: "hit-cell", onclick: () => it.set({token: number})},
              rect(cx, cy, cell, cell, {class: number < 0 ? "outside cell-line" : "paper cell-line"}),
              w === window ? rect(cx + 1, cy + 1, cell - 2, cell - 2, {class: "orange", "fill-opacity": (0.4 * weights[i]) / most}) : null,
              number < 0 ? [line(cx, cy, cx + cell, cy + cell, {class: "way"}), line(cx + cell, cy, cx, cy + cell, {class: "way"})] : null,
              w === window && cell > 19 && number >= 0
                ? text(cx + cell / 2, cy + cell / 2 + 4, String(i), {class: "small middle"}) : null,
              number === token ? rect(cx + 2, cy + 2, cell - 4, cell - 4, {class: "frame"}) : null);
          }),
          rect(x, y, P * cell, P * cell, {class: "stroke"}));
      });
    },
    tell(it) {
      const {H, W, P, masked} = it.state, n = it.numbers, filled = n.windows[n.window].filter((number) => number < 0).length;
      const count = n.windows.length;
      const lost = masked ? "masked, they get nothing." : `they take ${percent(n.lost)} of its attention, where all scores are alike.`;
      const here = filled ? `Of the ${P * P} places in the query's, ${filled} are padding; ${lost}` : "The query's has no padding.";
      return `${count} ${count === 1 ? "window" : "windows"}. ${here} Attention compares ${n.pairs} pairs; without windows it would be ${(H * W) ** 2}.`;
    },
  });
})();
