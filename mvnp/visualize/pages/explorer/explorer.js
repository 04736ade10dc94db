// The explorer: a click, the keys, the slider and the fields all change what is chosen, and then the page is drawn anew.

const TOKENS_A_SECOND = 10;
const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");
const image = new Image();
let panels, mainMap, timer = null, drawing = false;

// Choosing.

function chooseBlock(index, row, column) {
  chosen.block = index;
  block = data.blocks[index];
  windows = tokensOf(block);
  Object.assign(chosen, windows.find(row, column));
  element("panels").replaceChildren();
  panels = [
    ...block.views.map(viewPanels), ...block.tokens.map(quantityPanels),
    ...(block.states ? [statesPanel(block.states)] : []), matrixPanel(block.views),
  ];
  element("block").value = String(index);
  element("kind").textContent = block.about;
  for (const [id, count] of [["position", windows.L], ["row", windows.Hp], ["column", windows.Wp]]) element(id).max = count - 1;
  element("row").min = windows.firstRow;
  element("earlier").disabled = index === 0;
  element("later").disabled = index === data.blocks.length - 1;
  draw();
}

// Another block, and there the token at the same place of the picture.
function moveToBlock(index) {
  if (index < 0 || index >= data.blocks.length) return;
  stop();
  const [row, column] = windows.place(chosen.window, chosen.t), next = tokensOf(data.blocks[index]);
  chooseBlock(index, ...next.at(windows.pixel(column), windows.pixel(row)));
}

function chooseToken(row, column) {
  stop();
  const within = (value, least, count) => Math.max(least, Math.min(count - 1, value));
  const at = within(row, windows.firstRow, windows.Hp);
  Object.assign(chosen, windows.find(at, within(column, 0, windows.width(at))));
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

// The fields, and in words what is known of the token: a screen reader tells it.
function tell() {
  const [row, column] = windows.place(chosen.window, chosen.t);
  element("row").value = row;
  element("column").value = column;
  element("position").value = chosen.t;
  const among = windows.count > 1 ? `, window ${chosen.window} of 0 to ${windows.count - 1}` : "";
  const where = `position ${chosen.t} of 0 to ${windows.L - 1}${among}`;
  element("position").setAttribute("aria-valuetext", where);
  element("where").textContent = where;
  const told = data.names.map((_, subject) => {
    const best = strongest(linksOf(block.views[0], subject, 0)), verb = chosen.from ? "takes most from" : "gives most to";
    const numbers = block.tokens.map((quantity) => `${quantity.short} ${shown(valueHere(quantity, subject, 0))}`);
    const who = several ? `${letters[subject]}:` : "It";
    const itself = shown(fromItself(block.views[0], subject, 0));
    return `${who} ${verb} ${best.place}, and takes ${itself} from itself; ${numbers.join(", ")}.`;
  });
  const name = windows.name(row, column);
  const padding = windows.isReal(row, column) ? "" : ", in the padding";
  element("readout").textContent = [`${name[0].toUpperCase()}${name.slice(1)}${padding}.`, ...told].join(" ");
}

const KEYS = {
  ArrowUp: (row, column) => [row - 1, column], ArrowDown: (row, column) => [row + 1, column],
  ArrowLeft: (row, column) => [row, column - 1], ArrowRight: (row, column) => [row, column + 1],
  Home: (row) => [row, 0], End: (row) => [row, windows.Wp - 1],
};

function begin() {
  document.documentElement.classList.toggle("framed", window.parent !== window);  // in a page that says what this is
  const on = (id, event, act) => element(id).addEventListener(event, act);
  data.blocks.forEach(({path, kind}, index) => element("block").append(make("option", {value: index}, `${path} · ${kind}`)));
  mainMap = new MapCanvas(element("map"), data.picture, image);
  on("map", "click", (event) => chooseToken(...mainMap.tokenAt(event)));
  on("map", "keydown", (event) => {
    if (event.key === " ") play();
    else if (event.key in KEYS) chooseToken(...KEYS[event.key](...windows.place(chosen.window, chosen.t)));
    else return;
    event.preventDefault();
  });
  on("block", "change", (event) => moveToBlock(Number(event.target.value)));
  on("earlier", "click", () => moveToBlock(chosen.block - 1));
  on("later", "click", () => moveToBlock(chosen.block + 1));
  on("direction", "change", (event) => { chosen.from = event.target.value === "from"; draw(); });
  on("others", "change", (event) => { chosen.others = event.target.checked; draw(); });
  on("scale", "change", (event) => { chosen.root = event.target.value === "root"; draw(); });
  for (const id of ["row", "column"])
    on(id, "change", () => chooseToken(...["row", "column"].map((field) => Math.round(Number(element(field).value)))));
  on("position", "input", (event) => { stop(); choosePosition(Number(event.target.value)); });
  on("play", "click", play);
  stillness.addEventListener("change", stop);
  labelPlay();
  chooseBlock(data.start.block, data.start.row, data.start.column);
  for (const changing of [element("panels"), element("map").parentElement]) new ResizeObserver(draw).observe(changing);
  document.documentElement.dataset.ready = "yes";
}

image.addEventListener("load", begin);
image.src = data.picture.src;
