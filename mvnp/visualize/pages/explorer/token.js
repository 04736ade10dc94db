// What the page knows, and what of it is chosen: one token of one block. data.py says what is in `data`.

const data = JSON.parse(document.getElementById("data").textContent);
const colours = {amount: colourTable(data.colours.sequential), sign: colourTable(data.colours.diverging)};
const several = data.names.length > 1;
const letters = data.names.map((_, i) => String.fromCharCode(65 + i));

const chosen = {block: 0, window: 0, t: 0, from: true, root: false, others: true, matrix: 0};
let block, windows;  // the description of the chosen block, and where its tokens stand

const unpacked = new WeakMap();
function arrayOf(packed) {
  if (!unpacked.has(packed)) unpacked.set(packed, unpack(packed));
  return unpacked.get(packed);
}

// What token t of the chosen window takes from token s, for all t and s, in one map of a view: values[t * L + s].
function matrixOf(view, subject, map) {
  const {shape, values} = arrayOf(view.rows[subject]), L = windows.L, start = (map * shape[1] + chosen.window) * L * L;
  return values.subarray(start, start + L * L);
}

// The tokens of the chosen window with what the query takes from each, or each from the query; without the query itself, where
// the reader wants to see the others: what a token takes from itself is often far more than all else.
function linksOf(view, subject, map) {
  const values = matrixOf(view, subject, map), L = windows.L, found = [];
  for (let s = 0; s < L; s++) {
    const [row, column] = windows.place(chosen.window, s);
    const value = values[chosen.from ? chosen.t * L + s : s * L + chosen.t];
    if (s !== chosen.t || !chosen.others) found.push({row, column, value});
  }
  return found;
}

function fromItself(view, subject, map) {
  return matrixOf(view, subject, map)[chosen.t * (windows.L + 1)];
}

// All tokens of the map with one number each; of one that is filled along the scan, those up to the chosen position.
function valuesOf(quantity, subject, map) {
  const {values} = arrayOf(quantity.values[subject]), L = windows.L, found = [], plane = map * windows.count * L;
  for (let window = 0; window < windows.count; window++)
    for (let t = 0; t < L; t++) {
      const [row, column] = windows.place(window, t), value = values[plane + window * L + t];
      if (!Number.isNaN(value) && (!quantity.along || t <= chosen.t)) found.push({row, column, value});
    }
  return found;
}

function valueHere(quantity, subject, map) {
  return arrayOf(quantity.values[subject]).values[(map * windows.count + chosen.window) * windows.L + chosen.t];
}

// The one with the largest link, and in words where it is.
function strongest(tokens) {
  const best = tokens.reduce((best, token) => Math.abs(token.value) > Math.abs(best.value) ? token : best, {value: 0});
  const place = best.value === 0 ? "" : `${windows.name(best.row, best.column)} (${shown(best.value)})`;
  return {...best, place: best.value === 0 ? "no other token" : place};
}

// From values to colours and sizes.

// A scale from 0 for what is filled along the scan. Else from least to largest, but a tenth apart at least: a map that is all
// but even shall look even.
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
  if (!signed) return (value) => colours.amount[step(share(value, most))];
  return (value) => colours.sign[step((1 + Math.sign(value) * share(value, most)) / 2)];
}
