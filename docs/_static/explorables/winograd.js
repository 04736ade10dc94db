// Winograd: a tile of 4 by 4 outputs of a 3 by 3 convolution from 36 products in place of 144. Equation (1) of its page.
"use strict";

(() => {
  const {button, choice, grid, line, most, range, shown, slider, text} = mvnp.kit;

  const POINTS = [0, 0.75, -0.75, 1.5, -1.5]; // and ∞
  const KERNELS = {
    edge: [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    blur: [[1, 2, 1], [2, 4, 2], [1, 2, 1]].map((row) => row.map((value) => value / 16)),
    sharp: [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
  };

  // The coefficients of Π (z − p), lowest first.
  const polynomial = (roots) => roots.reduce((c, p) => [...c, 0].map((_, i) => (i ? c[i - 1] : 0) - (i < c.length ? p * c[i] : 0)), [1]);

  function matrices() {
    const A = [], G = [], T = [];
    POINTS.forEach((point, i) => {
      const others = POINTS.filter((_, j) => j !== i), scale = others.reduce((product, other) => product * (point - other), 1);
      A.push(range(4).map((power) => point ** power));
      G.push(range(3).map((power) => point ** power / scale));
      T.push([...polynomial(others), 0]);
    });
    A.push([0, 0, 0, 1]);
    G.push([0, 0, 1]);
    T.push(polynomial(POINTS));
    return {A, G, T};
  }
  const {A, G, T} = matrices();
  const transpose = (m) => m[0].map((_, j) => m.map((row) => row[j]));
  const times = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
  const around = (m, x) => times(times(m, x), transpose(m));

  // tile (6, 6), kernel (3, 3): U, V and their product M (6, 6), y (4, 4) of them, and y by the definition.
  function compute({tile, kernel}) {
    const U = around(G, kernel), V = around(T, tile), M = U.map((row, i) => row.map((value, j) => value * V[i][j]));
    const direct = range(4).map((i) => range(4).map((j) =>
      kernel.reduce((sum, row, r) => sum + row.reduce((part, value, c) => part + value * tile[i + r][j + c], 0), 0)));
    return {U, V, M, y: around(transpose(A), M), direct};
  }

  const tile = ["000000", "001100", "010010", "010010", "001100", "000000"].map((row) => [...row].map(Number));
  mvnp.define("winograd", {
    start: {tile, kernel: KERNELS.edge, name: "edge", output: 5, pixel: 14},
    compute,
    controls: (it) => [
      choice({...it, set: ({name}) => it.set({name, kernel: KERNELS[name]})}, {
        key: "name", label: "kernel", options: [["edge", "edge"], ["blur", "blur"], ["sharp", "sharpen"]],
      }),
      slider(it, {key: "output", label: "output", min: 0, max: 15, show: (i) => `row ${Math.floor(i / 4)}, column ${i % 4}`}),
      slider(it, {key: "pixel", label: "pixel of the tile", min: 0, max: 35, show: (i) => `row ${Math.floor(i / 6)}, column ${i % 6}`}),
      button("Switch the pixel", () => it.set({tile: turned(it.state.tile, it.state.pixel)})),
    ],
    draw(it) {
      const n = it.numbers, {output, pixel, kernel} = it.state, r = Math.floor(output / 4), c = output % 4;
      const gap = 24, size = Math.floor((it.width - 2 * gap) / 18), side = 6 * size, still = it.still;
      const under = 36 + side + 30;
      it.height = under + side + 8;
      const used = (i, j) => A[i][r] * A[j][c] !== 0;
      const place = (index, y) => ({x: index * (side + gap), y, size, still});
      const words = size > 24;
      return [
        grid(it.state.tile, {
          ...place(0, 20), top: 1.2, label: "d, the tile: click",
          marked: (i, j) => (i >= r && i < r + 3 && j >= c && j < c + 3 && (i === r || i === r + 2 || j === c || j === c + 2)) || 6 * i + j === pixel,
          act: (i, j) => it.set({pixel: 6 * i + j, tile: turned(it.state.tile, 6 * i + j)}),
        }),
        grid(n.V, {...place(1, 20), label: "V = T d Tᵀ"}),
        grid(n.M, {...place(2, 20), label: "U ⊙ V", marked: used}),
        grid(kernel, {...place(0, under), words, label: "w, the kernel"}),
        grid(n.U, {...place(1, under), label: "U = G w Gᵀ"}),
        grid(n.y, {
          ...place(2, under), words, label: "y = Aᵀ (U ⊙ V) A", marked: (i, j) => i === r && j === c, act: (i, j) => it.set({output: 4 * i + j}),
        }),
      ];
    },
    tell(it) {
      const n = it.numbers, {output} = it.state, r = Math.floor(output / 4), c = output % 4;
      const off = most(n.y.map((row, i) => row.map((value, j) => value - n.direct[i][j])), 0);
      const count = range(36).filter((k) => A[Math.floor(k / 6)][r] * A[k % 6][c] !== 0).length;
      return `This output is ${shown(n.y[r][c])}, a sum of ${count} of the 36 products, with weights that are fixed; by the definition`
        + ` ${shown(n.direct[r][c])}, of 9 products of its own. For 16 outputs that is 36 against 144: each product does the work of four. Of all outputs`
        + ` the two differ by ${shown(off, 2)} at most.`;
    },
  });

  function turned(tile, pixel) {
    return tile.map((row, i) => row.map((value, j) => (6 * i + j === pixel ? 1 - value : value)));
  }
})();
