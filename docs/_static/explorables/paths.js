// Scan paths: the order in which a scan reads a picture, and the state along it. Cross-scan, and equation (2) of the scan.
"use strict";

(() => {
  const {choice, el, line, most, percent, player, range, rect, shown, slider, text} = mvnp.kit;

  // The first bag of Fashion-MNIST's test images, and the mean brightness (of 255) of its 7 by 7 tokens of 4 by 4 pixels.
  const BAG = "data:image/png;base64,"
    + "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAABe0lEQVR42s2SsWpUURBAz8yd99Z9cddAEHeLSEQQ2yCstZ1gY+NP+Cf2tqnEHx"
    + "ALayurlGIhJIFskWiMYRM3u+/OjL34ATnl4ZQHbiiv/xUCFACLZ4/s/rr3/wQaupfd5aS7RCTJWsdyfFX29wSAd1u/pVjTCioErf7sbLV+WRBh"
    + "Z3v6Z9ARtYp7VNcol7aUuSEx2jnZXA3CAiseZKyjNVobKcrsYCI2MI8m+lqzKLnM9fnUFGF61FS9Tvfqkem9a1Mss1UlASNUrKAKkoRrynDoBp"
    + "w3p21/aymSRGkTQKrWi5VJ8PnVIqUMIokQ9Sop0Q+lVsssi2/vD+yCPkiaNgPgerVcuUk6+x9n1i1IMoqGAs1G009dE+Bk9PXsrkQrRbWIkD3h"
    + "9bZSYKvWJ9+/dHdqMWrgXvtY5eFRIZmcntWN2XI+3uzDvbp7JFA+GNPn7cM3966Op1u/bKLhEYDj891Odp9+OuTF9vj8weMf87fLYYoAIt50Bz"
    + "duyb++BMgAEDiZ2gAAAABJRU5ErkJggg==";
  const TOKENS = [
    0, 0, 0, 0, 0, 0, 0,
    0, 39, 53, 45, 44, 44, 25,
    6, 130, 177, 182, 183, 183, 150,
    18, 128, 179, 179, 179, 180, 158,
    0, 133, 178, 179, 181, 180, 155,
    27, 106, 130, 110, 101, 100, 81,
    0, 0, 0, 0, 0, 0, 0,
  ];
  const SIDE = 7;
  const ROUTES = {mambavision: [0], vim: [0, 2], vmamba: [0, 1, 2, 3]};
  const NAMES = ["row by row", "column by column", "rows, backwards", "columns, backwards"];

  // x (height · width,), row by row. Of each route the order of its tokens and the states along it, with A = −1 and B = 1;
  // near: the steps from each token to the one above it, negative where that comes later.
  function compute({x, height, width, family, delta}) {
    const kept = Math.exp(-delta);
    const orders = [range(height * width), range(height * width).map((t) => (t % height) * width + Math.floor(t / height))];
    orders.push([...orders[0]].reverse(), [...orders[1]].reverse());
    const routes = ROUTES[family].map((route) => {
      let state = 0;
      const order = orders[route], place = [];
      order.forEach((token, t) => (place[token] = t));
      return {route, order, place, h: order.map((token) => (state = kept * state + delta * x[token]))};
    });
    return {kept, routes};
  }

  mvnp.define("paths", {
    start: {x: TOKENS.map((value) => value / 255), height: SIDE, width: SIDE, family: "vmamba", delta: 0.15, step: 30, token: 24},
    compute,
    controls: (it) => [
      choice(it, {
        key: "family", label: "whose paths",
        options: [["mambavision", "MambaVision: one"], ["vim", "Vim: there and back"], ["vmamba", "VMamba: four"]],
      }),
      slider(it, {key: "delta", label: "step Δ", min: 0.03, max: 2, log: true}),
      slider(it, {key: "token", label: "token asked", min: 0, max: SIDE * SIDE - 1, show: (i) => placeOf(i)}),
      player(it, {key: "step", last: SIDE * SIDE - 1, pause: 150, what: "token"}),
    ],
    draw(it) {
      const {routes, kept} = it.numbers, {step, token} = it.state;
      const alone = routes.length === 1, gap = 14;
      const perRow = it.width < 520 ? Math.min(2, routes.length) : routes.length;
      const side = alone ? Math.min(210, it.width * 0.45) : Math.min(210, (it.width - gap * (perRow - 1)) / perRow);
      const tall = side + (alone ? 24 : 74), cell = side / SIDE;
      const top = most(routes.map((route) => route.h), 0.01);
      it.height = Math.ceil(routes.length / perRow) * tall + 4;
      const start = alone ? 0 : (it.width - perRow * side - (perRow - 1) * gap) / 2;
      return routes.map(({route, order, h}, i) => {
        const x = start + (i % perRow) * (side + gap), y = 20 + Math.floor(i / perRow) * tall;
        const middle = (t) => `${shown(x + ((order[t] % SIDE) + 0.5) * cell, 4)},${shown(y + (Math.floor(order[t] / SIDE) + 0.5) * cell, 4)}`;
        const chart = alone
          ? {x: side + 2 * gap, y: y + 8, width: it.width - side - 2 * gap, height: side - 22}
          : {x, y: y + side + 8, width: side, height: 32};
        const point = (t) => `${shown(chart.x + (chart.width * t) / (order.length - 1), 4)},${shown(chart.y + chart.height * (1 - h[t] / top), 4)}`;
        const up = range(step + 1);
        return el("g", {},
          text(x, y - 6, NAMES[route], {class: "small"}),
          el("image", {href: BAG, x, y, width: side, height: side, style: "image-rendering: pixelated", opacity: "0.75"}),
          up.map((t) => rect(x + (order[t] % SIDE) * cell, y + Math.floor(order[t] / SIDE) * cell, cell, cell, {
            class: "memory", "fill-opacity": 0.85 * kept ** (step - t),
          })),
          el("polyline", {points: up.map(middle).join(" "), class: "path-under"}),
          el("polyline", {points: up.map(middle).join(" "), class: "path"}),
          el("circle", {cx: x + ((order[step] % SIDE) + 0.5) * cell, cy: y + (Math.floor(order[step] / SIDE) + 0.5) * cell, r: 4.5, class: "head"}),
          rect(x + (token % SIDE) * cell, y + Math.floor(token / SIDE) * cell, cell, cell, {class: "asked"}),
          it.still ? null : range(order.length).map((s) => rect(x + (s % SIDE) * cell, y + Math.floor(s / SIDE) * cell, cell, cell, {
            class: "hit", onclick: () => it.set({token: s}),
          })),
          line(chart.x, chart.y + chart.height, chart.x + chart.width, chart.y + chart.height),
          el("polyline", {points: up.map(point).join(" "), class: "curve"}),
          el("circle", {cx: point(step).split(",")[0], cy: point(step).split(",")[1], r: 4, class: "orange"}),
          alone ? text(chart.x, chart.y - 2, `the state h: ${shown(h[step], 2)}`, {class: "small"}) : null,
          alone ? null : text(x, chart.y + 46, `h = ${shown(h[step], 2)}`, {class: "small"}));
      });
    },
    tell(it) {
      const {routes, kept} = it.numbers, {token} = it.state;
      const heard = new Set(routes.flatMap(({order, place}) => order.slice(0, place[token])));
      const told = `The token in ${placeOf(token)} has been told of ${heard.size} of the ${SIDE * SIDE - 1} others.`;
      if (token < SIDE) return `${told} A token keeps ${percent(kept)} of the state before it.`;
      const between = routes.map(({place}) => place[token] - place[token - SIDE]).filter((steps) => steps > 0);
      const least = Math.min(...between);
      return `${told} Its neighbour above is ${least === 1 ? "the token before it" : `${least} tokens back`}, on the shortest way, and`
        + ` ${percent(kept ** least)} of what that one wrote is left.`;
    },
  });

  function placeOf(token) {
    return `row ${Math.floor(token / SIDE)}, column ${token % SIDE}`;
  }
})();
