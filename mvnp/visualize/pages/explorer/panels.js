// The panels: what is shown of the chosen block. Each of the functions puts one group of them on the page, and gives a function
// that draws it anew for the token that is chosen.

const element = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A scale under a heading: the colours, and what their ends stand for.
class Bar {
  constructor(signed) {
    [this.low, this.strip, this.high] = [make("span"), make("span", {class: "strip"}), make("span")];
    this.box = make("p", {class: "bar"}, this.low, this.strip, this.high);
    this.paint(signed);
  }

  paint(signed) {
    const steps = signed ? colours.sign : colours.amount;
    const stops = [0, 32, 64, 96, 128, 160, 192, 224, 255].map((i) => `rgb(${steps[i].join(" ")})`);
    this.strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  }

  tell(low, high) {
    this.low.textContent = shown(low);
    this.high.textContent = shown(high);
  }
}

function addGroup(title, reading, {signed = false, wide = false, more = []}) {
  const scale = new Bar(signed), grid = make("div", {class: "grid"});
  const parts = [make("h4", {}, title), make("p", {class: "reading"}, reading), ...more, scale.box, grid];
  element("panels").append(make("section", {class: wide ? "view wide" : "view"}, ...parts));
  return {scale, grid};
}

// A canvas for each model, side by side; `build` makes of a canvas what is wanted.
function addPanel(grid, label, kind, build) {
  const row = make("div", {class: "pair"});
  const made = data.names.map((_, subject) => {
    const canvas = make("canvas", {role: "img"});
    row.append(make("div", {}, ...(several ? [make("span", {class: "letter"}, letters[subject])] : []), canvas));
    return build(canvas);
  });
  grid.append(make("figure", {class: `panel ${kind}`}, ...(label ? [make("figcaption", {}, label)] : []), row));
  return made;
}

// Maps under their labels, which are left out where there is but one; a click on a map chooses the token.
function addMaps(grid, labels) {
  return labels.map((label) => addPanel(grid, labels.length > 1 ? label : "", "", (canvas) => {
    const map = new MapCanvas(canvas, data.picture, image);
    canvas.addEventListener("click", (event) => chooseToken(...map.tokenAt(event)));
    return map;
  }));
}

function fullTitle(item, map, subject) {
  return item.title + (item.labels.length > 1 ? `, ${item.labels[map]}` : "") + (several ? `, ${letters[subject]}` : "");
}

function drawMap(map, tokens, colour, size) {
  const [row, column] = windows.place(chosen.window, chosen.t);
  map.begin(windows);
  map.background(true);
  map.marks(tokens, (value) => `rgb(${colour(value).join(" ")})`, size);
  map.query(row, column);
}

// What the query takes from each token.
function viewPanels(view) {
  const {scale, grid} = addGroup(view.title, view.reading, {signed: view.signed, wide: view.labels.length > 1});
  if (view.labels.length === 4) grid.classList.add("four");
  const maps = addMaps(grid, view.labels);
  return () => {
    const all = maps.map((_, map) => data.names.map((_, subject) => linksOf(view, subject, map)));
    const most = Math.max(1e-30, ...all.flat().map((tokens) => Math.abs(strongest(tokens).value)));
    scale.tell(view.signed ? -most : 0, most);
    maps.forEach((made, map) => made.forEach((canvas, subject) => {
      const tokens = all[map][subject], best = strongest(tokens);
      drawMap(canvas, tokens, linkColour(most, view.signed), (value) => share(value, most));
      const verb = chosen.from ? "taken from" : "given to";
      canvas.describe(`${fullTitle(view, map, subject)}: most is ${verb} ${best.place}`);
    }));
  };
}

// What each token has.
function quantityPanels(quantity) {
  const {scale, grid} = addGroup(quantity.title, quantity.reading, {wide: quantity.labels.length > 1});
  const maps = addMaps(grid, quantity.labels);
  const every = quantity.values.flatMap((packed) => Array.from(arrayOf(packed).values)).filter((value) => !Number.isNaN(value));
  const [low, high] = limits(-largest(every.map((value) => -value)), largest(every), quantity.along);
  scale.tell(low, high);
  return () => maps.forEach((made, map) => made.forEach((canvas, subject) => {
    const colour = (value) => colours.amount[step((value - low) / (high - low))];
    drawMap(canvas, valuesOf(quantity, subject, map), colour, () => 1);
    const here = shown(valueHere(quantity, subject, map));
    const all = `from ${shown(low)} to ${shown(high)} in all`;
    canvas.describe(`${fullTitle(quantity, map, subject)}: ${here} at the chosen token, ${all}`);
  }));
}

// A picture of the scan position along one of its sides: a click chooses the position.
function addRaster(grid, kind, position) {
  return addPanel(grid, "", kind, (canvas) => {
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const share = position === "column" ? (event.clientX - box.left) / box.width : (event.clientY - box.top) / box.height;
      stop();
      choosePosition(Math.floor(share * windows.L));
    });
    return canvas;
  });
}

// All states of a mixer as lines.
function statesPanel(states) {
  const {scale, grid} = addGroup(states.title, states.reading, {signed: true, wide: true});
  scale.tell(-1, 1);
  const canvases = addRaster(grid, "wide", "column"), rasters = data.names.map(() => new Map());
  return () => canvases.forEach((canvas, subject) => {
    const {shape: [lines, tokens], values} = arrayOf(states.lines[subject]), L = windows.L;
    if (!rasters[subject].has(chosen.window)) {
      const line = (i) => values.subarray(i * tokens, (i + 1) * tokens);
      const most = Array.from({length: lines}, (_, i) => Math.max(1e-30, largest(line(i).map(Math.abs))));
      const start = chosen.window * L;
      const colour = (i, t) => colours.sign[step((1 + line(i)[start + t] / most[i]) / 2)];
      rasters[subject].set(chosen.window, raster(lines, L, colour));
    }
    showRaster(canvas, rasters[subject].get(chosen.window), several ? 0.8 : 0.42, {column: chosen.t});
    const timescale = arrayOf(states.timescale[subject]).values;
    const [least, most] = [timescale[0], timescale[lines - 1]].map(shown);
    const what = `${lines} states against the scan position${several ? `, ${letters[subject]}` : ""}`;
    canvas.setAttribute("aria-label", `${what}, the fastest at the top: timescales from ${least} to ${most} tokens`);
  });
}

// One of the views' maps for all queries of the window at once.
const MATRIX = "Rows are queries, columns are what they take from, both in scan order; the lines mark the chosen token's row"
  + " and column. A click chooses the token of a row.";

function matrixPanel(views) {
  const maps = views.flatMap((view) => view.labels.map((label, map) => ({view, map})));
  const name = ({view, map}) => view.title + (view.labels.length > 1 ? `, ${view.labels[map]}` : "");
  const select = make("select", {id: "matrix"}, ...maps.map((each, i) => make("option", {value: i}, name(each))));
  select.addEventListener("change", () => { chosen.matrix = Number(select.value); draw(); });
  chosen.matrix = 0;
  const choice = make("p", {class: "row"}, make("label", {for: "matrix"}, "Matrix of"), select);
  const {scale, grid} = addGroup("All tokens at once", MATRIX, {wide: true, more: [choice]});
  const canvases = addRaster(grid, "square", "row"), made = new Map();
  return () => {
    const {view, map} = maps[chosen.matrix], L = windows.L;
    const key = String([chosen.matrix, chosen.window, chosen.root, chosen.others]);
    if (!made.has(key)) made.set(key, matrices(view, map));
    const {most, rasters} = made.get(key);
    scale.paint(view.signed);
    scale.tell(view.signed ? -most : 0, most);
    canvases.forEach((canvas, subject) => {
      showRaster(canvas, rasters[subject], 1, {row: chosen.t, column: chosen.t});
      const what = `as a matrix of ${L} by ${L} tokens, at most ${shown(most)}`;
      canvas.setAttribute("aria-label", `${fullTitle(view, map, subject)}, ${what}`);
    });
  };
}

function matrices(view, map) {
  const L = windows.L;
  const planes = data.names.map((_, subject) => {
    const values = matrixOf(view, subject, map).slice();
    for (let t = 0; t < L && chosen.others; t++) values[t * (L + 1)] = 0;
    return values;
  });
  const most = Math.max(1e-30, ...planes.map((values) => largest(values.map(Math.abs))));
  const colour = linkColour(most, view.signed);
  return {most, rasters: planes.map((values) => raster(L, L, (t, s) => colour(values[t * L + s])))};
}
