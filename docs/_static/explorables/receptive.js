// The receptive field: which pixels a position has seen after so many convolutions, and by how many ways.
"use strict";

(() => {
  const {bar, el, line, percent, player, range, rect, shown, text} = mvnp.kit;

  // What the first levels of mamba_vision_T are made of: [name, kernel, stride].
  const LAYERS = [
    ["stem", 3, 2], ["stem", 3, 2],
    ["level 0", 3, 1], ["level 0", 3, 1], ["level 0, downsampling", 3, 2],
    ...range(6).map(() => ["level 1", 3, 1]), ["level 1, downsampling", 3, 2],
  ];
  const IMAGE = 224;

  // kernels, strides (n,), the first layer first. sizes[n], jumps[n]: pixels that n layers see, and from one position to the next;
  // ways: by how many ways each pixel of the field, along one axis, reaches the last layer's position, as shares; held: the least
  // odd number of pixels around the middle that holds 95 % of them.
  function compute({kernels, strides}) {
    const sizes = [1], jumps = [1];
    kernels.forEach((kernel, n) => {
      sizes.push(sizes[n] + (kernel - 1) * jumps[n]);
      jumps.push(jumps[n] * strides[n]);
    });
    let ways = [1];
    for (let n = kernels.length - 1; n >= 0; n--) {
      const apart = Array((ways.length - 1) * strides[n] + 1).fill(0);
      ways.forEach((value, i) => (apart[i * strides[n]] = value));
      ways = range(apart.length + kernels[n] - 1).map((i) => range(kernels[n]).reduce((sum, k) => sum + (apart[i - k] || 0), 0));
    }
    const all = ways.reduce((a, b) => a + b, 0);
    ways = ways.map((value) => value / all);
    const middle = (ways.length - 1) / 2;
    let reach = 0, inside = ways[middle];
    while (inside < 0.95 && reach < middle) {
      reach += 1;
      inside += ways[middle - reach] + ways[middle + reach];
    }
    return {sizes, jumps, ways, held: 2 * reach + 1};
  }

  mvnp.define("receptive", {
    start: {depth: 5, layers: LAYERS},
    compute: (state) => compute(state.kernels ? state : {
      kernels: LAYERS.slice(0, state.depth).map((layer) => layer[1]), strides: LAYERS.slice(0, state.depth).map((layer) => layer[2]),
    }),
    controls: (it) => player(it, {key: "depth", last: LAYERS.length, pause: 800, what: "layer"}),
    draw(it) {
      const n = it.numbers, side = Math.min(240, it.width * 0.5 - 10), unit = side / IMAGE, middle = side / 2;
      const left = side + 24, wide = it.width - left, size = n.sizes[n.sizes.length - 1], most = Math.max(...n.ways);
      const scale = wide / IMAGE, start = left + (wide - n.ways.length * scale) / 2, foot = side + 10;
      const square = (pixels, more) => rect(middle - (pixels * unit) / 2, 20 + middle - (pixels * unit) / 2, pixels * unit, pixels * unit, more);
      it.height = side + 44;
      return [
        text(0, 13, "an image of 224×224", {class: "small"}),
        rect(0, 20, side, side, {class: "outside"}),
        n.sizes.slice(0, -1).map((pixels) => square(pixels, {class: "way-box"})),
        square(size, {class: "orange", "fill-opacity": 0.35}),
        square(n.held, {class: "orange", "fill-opacity": 0.75}),
        text(left, 13, wide < 220 ? "ways from each pixel" : "by how many ways a pixel of a row gets there", {class: "small"}),
        n.ways.map((value, i) => {
          const near = Math.abs(i - (n.ways.length - 1) / 2) <= (n.held - 1) / 2;
          return bar(start + i * scale, Math.max(scale, 0.8), foot, foot - ((side - 30) * value) / most, {
            class: "orange", "fill-opacity": near ? 0.9 : 0.45,
          });
        }),
        line(left, foot, it.width, foot),
        text(left, foot + 16, `${size} pixels, 95 % within ${n.held}`, {class: "small"}),
      ];
    },
    tell(it) {
      const n = it.numbers, {depth} = it.state;
      if (depth === 0) return "A pixel sees itself. Go on layer by layer.";
      const [name, kernel, stride] = LAYERS[depth - 1], size = n.sizes[depth];
      return `Layer ${depth} (${name}, ${kernel}×${kernel}, stride ${stride}): a position sees ${size}×${size} pixels, ${size - n.sizes[depth - 1]} more`
        + ` than before, and neighbours are ${n.jumps[depth]} pixels apart. The inner square, ${percent((n.held / size) ** 2)} of it, holds nine tenths of all ways: 0.95 · 0.95.`
        + (depth === LAYERS.length ? " What comes next scans and attends: at this image size it sees everything." : "");
    },
  });
})();
