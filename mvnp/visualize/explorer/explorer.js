// The explorer: one chosen token of one block, and everything that is known of it. A click, the keys, the slider and the fields
// all do the same: they change `chosen`, and the page is drawn anew.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const colours = {amount: colourTable(data.colours.sequential), sign: colourTable(data.colours.diverging)};
const several = data.names.length > 1;
const letters = data.names.map((_, i) => String.fromCharCode(65 + i));
const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");
const TOKENS_A_SECOND = 10;

const picture = {...data.picture};
const image = new Image();
const chosen = {block: 0, window: 0, t: 0, from: true, root: false, matrix: 0};
let windows, block, panels, mainMap, timer = null, drawing = false;

const unpacked = new WeakMap();
function arrayOf(packed) {
  if (!unpacked.has(packed)) unpacked.set(packed, unpack(packed));
  return unpacked.get(packed);
}

// A number in three digits, as one would write it.
function shown(value) {
  if (Number.isNaN(value)) return "none";
  const size = Math.abs(value), sign = value < 0 ? "−" : "";
  if (size === 0 || (size >= 0.001 && size < 10000)) return sign + String(Number(size.toPrecision(3)));
  const [digits, exponent] = size.toExponential(1).split("e");
  return `${sign}${digits}·10${exponent.replace("+", "").replace(/[-0-9]/g, (letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)])}`;
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// What the page knows of one token.

// The tokens of the chosen window with what the query takes from each, or each from the query, in one map of a view.
function linksOf(view, subject, map) {
  const {shape, values} = arrayOf(view.rows[subject]), L = shape[3];
  const start = (map * shape[1] + chosen.window) * L * L;
  return Array.from({length: L}, (_, s) => {
    const [row, column] = windows.place(chosen.window, s);
    return {row, column, value: values[start + (chosen.from ? chosen.t * L + s : s * L + chosen.t)]};
  });
}

// All tokens of the map with one number each; of one that is filled along the scan, those up to the chosen position.
function tokensOf(quantity, subject) {
  const {shape, values} = arrayOf(quantity.values[subject]), L = shape[shape.length - 1], found = [];
  const plane = quantity.map * windows.count * L;
  for (let window = 0; window < windows.count; window++)
    for (let t = 0; t < L; t++) {
      const [row, column] = windows.place(window, t), value = values[plane + window * L + t];
      if (!Number.isNaN(value) && (!quantity.along || t <= chosen.t)) found.push({row, column, value});
    }
  return found;
}

function valueHere(quantity, subject) {
  const L = windows.L;
  return arrayOf(quantity.values[subject]).values[(quantity.map * windows.count + chosen.window) * L + chosen.t];
}

function strongest(tokens) {
  return tokens.reduce((best, token) => Math.abs(token.value) > Math.abs(best.value) ? token : best);
}

// Building what a block has, once it is chosen.

function bar(signed) {
  const steps = signed ? colours.sign : colours.amount;
  const stops = [0, 32, 64, 96, 128, 160, 192, 224, 255].map((i) => `rgb(${steps[i].join(" ")})`);
  const low = make("span"), high = make("span"), strip = make("span", {class: "strip"});
  strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  return {box: make("p", {class: "bar"}, low, strip, high), low, high};
}

function canvasesFor(label, build) {
  const row = make("div", {class: "pair"});
  const made = data.names.map((_, subject) => {
    const canvas = make("canvas", {role: "img"});
    row.append(make("div", {}, ...(several ? [make("span", {class: "letter"}, letters[subject])] : []), canvas));
    return build(canvas);
  });
  const figure = make("figure", {class: "panel"}, ...(label ? [make("figcaption", {}, label)] : []), row);
  return {figure, made};
}

function mapPanel(label) {
  return canvasesFor(label, (canvas) => {
    const map = new MapCanvas(canvas, picture, image);
    canvas.addEventListener("click", (event) => chooseToken(...map.tokenAt(event)));
    return map;
  });
}

function group(title, reading, signed, wide) {
  const scale = bar(signed), grid = make("div", {class: "grid"});
  const view = make("section", {class: "view"}, make("h4", {}, title), make("p", {class: "reading"}, reading), scale.box, grid);
  if (wide) view.classList.add("wide");
  element("panels").append(view);
  return {scale, grid};
}

function viewPanels(view) {
  const {scale, grid} = group(view.title, view.reading, view.signed, view.labels.length > 1);
  if (view.labels.length === 4) grid.classList.add("four");
  const maps = view.labels.map((label, map) => {
    const {figure, made} = mapPanel(view.labels.length > 1 ? label : "");
    grid.append(figure);
    return {label, map, made};
  });
  return () => {
    const all = maps.map(({map}) => data.names.map((_, subject) => linksOf(view, subject, map)));
    const most = Math.max(1e-30, ...all.flat().map((tokens) => Math.abs(strongest(tokens).value)));
    scale.low.textContent = view.signed ? shown(-most) : "0";
    scale.high.textContent = shown(most);
    maps.forEach(({label, made}, i) => made.forEach((map, subject) => {
      const tokens = all[i][subject], best = strongest(tokens);
      drawMap(map, tokens, linkColour(most, view.signed), (value) => share(value, most));
      const verb = chosen.from ? "most is taken from" : "taken most by";
      map.canvas.setAttribute("aria-label", `${title(view.title, label, view.labels)}${which(subject)}: ${verb} row ${best.row}, column ${best.column}: ${shown(best.value)}`);
    }));
  };
}

const title = (name, label, labels) => labels.length > 1 ? `${name}, ${label}` : name;
const which = (subject) => several ? `, ${letters[subject]}` : "";

function quantityPanel(quantity) {
  const {scale, grid} = group(quantity.title, quantity.reading, false, quantity.labels.length > 1);
  const made = quantity.labels.map((label, map) => {
    const panel = mapPanel(quantity.labels.length > 1 ? label : "");
    grid.append(panel.figure);
    return {label, part: {...quantity, map}, maps: panel.made};
  });
  const whole = quantity.values.flatMap((packed) => Array.from(arrayOf(packed).values)).filter((value) => !Number.isNaN(value));
  const [low, high] = limits(-largest(whole.map((value) => -value)), largest(whole), quantity.along);
  return () => {
    scale.low.textContent = shown(low);
    scale.high.textContent = shown(high);
    made.forEach(({label, part, maps}) => maps.forEach((map, subject) => {
      drawMap(map, tokensOf(part, subject), (value) => colours.amount[step((value - low) / (high - low))], () => 1);
      const here = shown(valueHere(part, subject));
      map.canvas.setAttribute("aria-label", `${title(quantity.title, label, quantity.labels)}${which(subject)}: ${here} at the chosen token, from ${shown(low)} to ${shown(high)} in all`);
    }));
  };
}

// A scale from 0 for what is filled along the scan. Else from least to largest, but a tenth apart at least: a map that is all but
// even shall look even.
function limits(least, most, fromZero) {
  if (fromZero) return [0, Math.max(most, 1e-30)];
  const middle = (least + most) / 2, half = Math.max((most - least) / 2, 0.05 * Math.abs(middle), 1e-30);
  return [middle - half, middle + half];
}

const step = (value) => Math.max(0, Math.min(255, Math.round(255 * value)));

// Which part of the largest value a value is; its square root, where the reader has asked for the small ones to be seen.
function share(value, most) {
  const part = Math.min(1, Math.abs(value) / most);
  return chosen.root ? Math.sqrt(part) : part;
}

function linkColour(most, signed) {
  return (value) => signed ? colours.sign[step((1 + Math.sign(value) * share(value, most)) / 2)] : colours.amount[step(share(value, most))];
}

function drawMap(map, tokens, colour, size) {
  const [row, column] = windows.place(chosen.window, chosen.t);
  map.begin(windows);
  map.background(true);
  map.marks(tokens, (value) => `rgb(${colour(value).join(" ")})`, size);
  map.query(row, column);
}

function statesPanel(states) {
  const {scale, grid} = group(states.title, states.reading, true, true);
  const {figure, made} = canvasesFor("", (canvas) => {
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      choosePosition(Math.floor((event.clientX - box.left) / box.width * windows.L));
    });
    return canvas;
  });
  figure.classList.add("wide");
  grid.append(figure);
  scale.low.textContent = "−1";
  scale.high.textContent = "1";
  const images = data.names.map(() => new Map());
  return () => made.forEach((canvas, subject) => {
    const {shape, values} = arrayOf(states.lines[subject]), L = windows.L, n = shape[1];
    if (!images[subject].has(chosen.window)) {
      const most = Array.from({length: shape[0]}, (_, line) => {
        let top = 1e-30;
        for (let i = line * n; i < (line + 1) * n; i++) top = Math.max(top, Math.abs(values[i]));
        return top;
      });
      const at = (line, t) => colours.sign[step((1 + values[line * n + chosen.window * L + t] / most[line]) / 2)];
      images[subject].set(chosen.window, raster(shape[0], L, at));
    }
    showRaster(canvas, images[subject].get(chosen.window), several ? 0.8 : 0.42, {column: chosen.t});
    const timescale = arrayOf(states.timescale[subject]).values;
    canvas.setAttribute("aria-label", `${shape[0]} states against scan position${which(subject)}, fastest at the top; timescales from ${shown(timescale[0])} to ${shown(timescale[timescale.length - 1])} tokens`);
  });
}

function matrixPanel(views) {
  const names = views.flatMap((view, v) => view.labels.map((label, map) => ({view, map, text: title(view.title, label, view.labels)})));
  const select = make("select", {id: "matrix"}, ...names.map(({text}, i) => make("option", {value: i}, text)));
  const scale = bar(false), grid = make("div", {class: "grid"});
  const reading = "Rows are queries, columns are what they take from, both in scan order; the frames are the chosen token's row and column. A click chooses the token of a row.";
  element("panels").append(make("section", {class: "view wide"}, make("h4", {}, "All tokens at once"), make("p", {class: "reading"}, reading),
    make("p", {class: "row"}, make("label", {for: "matrix"}, "Matrix of"), select), scale.box, grid));
  const {figure, made} = canvasesFor("", (canvas) => {
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      choosePosition(Math.floor((event.clientY - box.top) / box.height * windows.L));
    });
    return canvas;
  });
  figure.classList.add("square");
  grid.append(figure);
  chosen.matrix = 0;
  select.addEventListener("change", () => { chosen.matrix = Number(select.value); draw(); });
  const images = new Map();
  return () => {
    const {view, map, text} = names[chosen.matrix], L = windows.L, key = `${chosen.matrix} ${chosen.window} ${chosen.root}`;
    if (!images.has(key)) {
      const plane = (subject) => {
        const {shape, values} = arrayOf(view.rows[subject]), start = (map * shape[1] + chosen.window) * L * L;
        return values.subarray(start, start + L * L);
      };
      const planes = data.names.map((_, subject) => plane(subject));
      const most = Math.max(1e-30, ...planes.map((values) => largest(values.map(Math.abs))));
      images.set(key, {most, rasters: planes.map((values) => raster(L, L, (t, s) => linkColour(most, view.signed)(values[t * L + s])))});
    }
    const {most, rasters} = images.get(key), fresh = bar(view.signed);
    fresh.low.textContent = view.signed ? shown(-most) : "0";
    fresh.high.textContent = shown(most);
    scale.box.replaceChildren(...fresh.box.childNodes);
    made.forEach((canvas, subject) => {
      showRaster(canvas, rasters[subject], 1, {row: chosen.t, column: chosen.t});
      canvas.setAttribute("aria-label", `${text}${which(subject)}, as a matrix of ${L} by ${L} tokens, at most ${shown(most)}`);
    });
  };
}

// Choosing.

function chooseBlock(index, row, column) {
  chosen.block = index;
  block = data.blocks[index];
  windows = new Windows(block);
  Object.assign(chosen, windows.find(row, column));
  element("panels").replaceChildren();
  panels = [
    ...block.views.map(viewPanels), ...block.tokens.map(quantityPanel),
    ...(block.states ? [statesPanel(block.states)] : []), matrixPanel(block.views),
  ];
  element("block").value = String(index);
  element("kind").textContent = block.about;
  Object.assign(element("position"), {max: windows.L - 1});
  Object.assign(element("row"), {max: windows.Hp - 1});
  Object.assign(element("column"), {max: windows.Wp - 1});
  element("earlier").disabled = index === 0;
  element("later").disabled = index === data.blocks.length - 1;
  draw();
}

// Another block, and there the token at the same place of the picture.
function moveToBlock(index) {
  if (index < 0 || index >= data.blocks.length) return;
  stop();
  const [row, column] = windows.place(chosen.window, chosen.t), next = new Windows(data.blocks[index]);
  chooseBlock(index, ...next.at(windows.stride * column, windows.stride * row));
}

function chooseToken(row, column) {
  stop();
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  Object.assign(chosen, windows.find(within(row, windows.Hp), within(column, windows.Wp)));
  draw();
}

function choosePosition(t) {
  chosen.t = Math.max(0, Math.min(windows.L - 1, t));
  draw();
}

function play() {
  const next = () => choosePosition(chosen.t + 1 < windows.L ? chosen.t + 1 : 0);
  if (timer !== null) return stop();
  if (stillness.matches) return next();
  if (chosen.t === windows.L - 1) choosePosition(0);
  timer = window.setInterval(() => { next(); if (chosen.t === windows.L - 1) stop(); }, 1000 / TOKENS_A_SECOND);
  labelPlay();
}

function stop() {
  window.clearInterval(timer);
  timer = null;
  labelPlay();
}

function labelPlay() {
  element("play").textContent = timer !== null ? "Pause" : stillness.matches ? "Next token" : "Play";
  element("readout").setAttribute("aria-live", timer !== null ? "off" : "polite");
}

// Drawing: once for each frame of the screen, however many changes there were.

function draw() {
  if (drawing) return;
  drawing = true;
  window.requestAnimationFrame(() => {
    drawing = false;
    drawMain();
    for (const panel of panels) panel();
    tell();
  });
}

function drawMain() {
  const [row, column] = windows.place(chosen.window, chosen.t);
  mainMap.begin(windows);
  mainMap.background(false);
  if (block.states) mainMap.path(chosen.window, chosen.t);
  mainMap.query(row, column);
}

function tell() {
  const [row, column] = windows.place(chosen.window, chosen.t);
  element("row").value = row;
  element("column").value = column;
  const where = `position ${chosen.t} of 0 to ${windows.L - 1}` + (windows.count > 1 ? `, window ${chosen.window} of 0 to ${windows.count - 1}` : "");
  Object.assign(element("position"), {value: chosen.t});
  element("position").setAttribute("aria-valuetext", where);
  element("where").textContent = where;
  const parts = [`Row ${row}, column ${column}${windows.isReal(row, column) ? "" : ", in the padding"}.`];
  data.names.forEach((_, subject) => {
    const best = strongest(linksOf(block.views[0], subject, 0));
    const verb = chosen.from ? "takes most from" : "gives most to";
    const numbers = block.tokens.map((quantity) => `${quantity.short} ${shown(valueHere({...quantity, map: 0}, subject))}`);
    parts.push(`${several ? `${letters[subject]}: ` : ""}${several ? verb : `It ${verb}`} row ${best.row}, column ${best.column} (${shown(best.value)}); ${numbers.join(", ")}.`);
  });
  element("readout").textContent = parts.join(" ");
}

const KEYS = {
  ArrowUp: (row, column) => [row - 1, column], ArrowDown: (row, column) => [row + 1, column],
  ArrowLeft: (row, column) => [row, column - 1], ArrowRight: (row, column) => [row, column + 1],
  Home: (row) => [row, 0], End: (row) => [row, windows.Wp - 1],
};

function begin() {
  for (const [index, {path, kind}] of data.blocks.entries()) element("block").append(make("option", {value: index}, `${path} · ${kind}`));
  mainMap = new MapCanvas(element("map"), picture, image);
  element("map").addEventListener("click", (event) => chooseToken(...mainMap.tokenAt(event)));
  element("map").addEventListener("keydown", (event) => {
    if (event.key === " ") play();
    else if (event.key in KEYS) chooseToken(...KEYS[event.key](...windows.place(chosen.window, chosen.t)));
    else return;
    event.preventDefault();
  });
  element("block").addEventListener("change", (event) => moveToBlock(Number(event.target.value)));
  element("earlier").addEventListener("click", () => moveToBlock(chosen.block - 1));
  element("later").addEventListener("click", () => moveToBlock(chosen.block + 1));
  element("direction").addEventListener("change", (event) => { chosen.from = event.target.value === "from"; draw(); });
  element("scale").addEventListener("change", (event) => { chosen.root = event.target.value === "root"; draw(); });
  for (const id of ["row", "column"])
    element(id).addEventListener("change", () => chooseToken(Math.round(Number(element("row").value)), Math.round(Number(element("column").value))));
  element("position").addEventListener("input", (event) => { stop(); choosePosition(Number(event.target.value)); });
  element("play").addEventListener("click", play);
  stillness.addEventListener("change", stop);
  stop();
  chooseBlock(data.start.block, data.start.row, data.start.column);
  new ResizeObserver(draw).observe(element("panels"));
  new ResizeObserver(draw).observe(element("map").parentElement);
  document.documentElement.dataset.ready = "yes";
}

image.addEventListener("load", begin);
image.src = picture.src;
