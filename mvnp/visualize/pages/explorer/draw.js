// Pictures on canvases. The look is that of mvnp/visualize/figures/overlay.py: a softened picture, opaque squares upon it.

const INK = "#1c2430", PALE = "#e9ecf0", MUTED = "#5b6675";
const MARK = 0.8;  // side of the largest square, in cells

// The context of a canvas that is as sharp as the screen, with a unit of one CSS pixel; `height` over width.
function prepare(canvas, ratio) {
  const width = canvas.clientWidth, height = Math.round(width * ratio), fine = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * fine);
  canvas.height = Math.round(height * fine);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(fine, fine);
  return {context, width, height};
}

// What part of the plane of pixels is shown: the picture, and all tokens with half a cell around them.
function frameOf(windows, picture) {
  const left = Math.min(windows.pixel(-0.5), -0.5), top = Math.min(windows.pixel(windows.firstRow - 0.5), -0.5);
  const right = Math.max(windows.pixel(windows.Wp - 0.5), picture.width - 0.5);
  const bottom = Math.max(windows.pixel(windows.Hp - 0.5), picture.height - 0.5);
  return {left, top, width: right - left, height: bottom - top};
}

// A map: the picture, windows and padding, one square for each {row, column, value}, a frame around the query.
//   colour(value) → CSS colour;  size(value) → share of the full area, 0 to 1
class MapCanvas {
  constructor(canvas, picture, image) {
    Object.assign(this, {canvas, picture, image});
  }

  begin(windows) {
    this.windows = windows;
    this.frame = frameOf(windows, this.picture);
    Object.assign(this, prepare(this.canvas, this.frame.height / this.frame.width));
    this.unit = this.width / this.frame.width;
    this.context.fillStyle = PALE;
    this.context.fillRect(0, 0, this.width, this.height);
    this.context.translate(-this.frame.left * this.unit, -this.frame.top * this.unit);
    this.context.scale(this.unit, this.unit);
    this.line = 1 / this.unit;  // one CSS pixel
  }

  background(soft) {
    const {context, picture, windows} = this;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, -0.5, -0.5, picture.width, picture.height);
    if (soft) {
      context.fillStyle = "rgba(255, 255, 255, 0.38)";
      context.fillRect(-0.5, -0.5, picture.width, picture.height);
    }
    const s = windows.stride;
    for (let row = 0; row < windows.Hp; row++)
      for (let column = 0; column < windows.Wp; column++)
        if (!windows.isReal(row, column)) this.hatch(windows.pixel(column - 0.5), windows.pixel(row - 0.5), s);
    const side = windows.P * s;
    for (const [style, width] of [["white", 2.6], [INK, 1]]) {
      context.strokeStyle = style;
      context.lineWidth = width * this.line;
      for (let row = 0; row < windows.rows; row++)
        for (let column = 0; column < windows.columns; column++)
          context.strokeRect(windows.pixel(-0.5) + column * side, windows.pixel(-0.5) + row * side, side, side);
    }
  }

  hatch(x, y, s) {
    const {context} = this;
    context.fillStyle = "white";
    context.fillRect(x, y, s, s);
    context.strokeStyle = MUTED;
    context.lineWidth = 0.8 * this.line;
    context.beginPath();
    for (const share of [0.25, 0.5, 0.75, 1]) {
      context.moveTo(x, y + share * s);
      context.lineTo(x + share * s, y);
      context.moveTo(x + s, y + share * s);
      context.lineTo(x + share * s, y + s);
    }
    context.stroke();
  }

  marks(tokens, colour, size) {
    const {context, windows} = this, s = windows.stride;
    for (const {row, column, value} of tokens) {
      const side = MARK * s * Math.sqrt(size(value));
      if (!(side * this.unit > 0.4)) continue;
      context.fillStyle = colour(value);
      const left = windows.pixel(column) - side / 2, top = windows.pixel(row) - side / 2;
      context.fillRect(left, top, side, side);
      if (side * this.unit > 6) {
        context.strokeStyle = "rgba(255, 255, 255, 0.9)";
        context.lineWidth = 0.8 * this.line;
        context.strokeRect(left, top, side, side);
      }
    }
  }

  query(row, column) {
    const {context, windows} = this, s = windows.stride;
    for (const [style, width] of [["white", 5], [INK, 2.5]]) {
      context.strokeStyle = style;
      context.lineWidth = width * this.line;
      context.strokeRect(windows.pixel(column - 0.5), windows.pixel(row - 0.5), s, s);
    }
  }

  // The scan's path in one window up to token t; where it jumps to the next row, or to a class token, a thinner line.
  path(window, t) {
    const {context, windows} = this;
    const point = (i) => windows.place(window, i).reverse().map((value) => windows.pixel(value));
    const onRow = (i) => windows.place(window, i)[0] === windows.place(window, i - 1)[0];
    for (const [style, width, thin] of [["white", 3.4, 2], [INK, 1.6, 0.5]])
      for (let i = 1; i <= t; i++) {
        context.strokeStyle = style;
        context.lineWidth = (onRow(i) ? width : thin) * this.line;
        context.beginPath();
        context.moveTo(...point(i - 1));
        context.lineTo(...point(i));
        context.stroke();
      }
  }

  // What there is to be seen, in words.
  describe(text) {
    this.canvas.setAttribute("aria-label", text);
  }

  // The token under a mouse or finger.
  tokenAt(event) {
    const box = this.canvas.getBoundingClientRect(), unit = box.width / this.frame.width;
    const x = (event.clientX - box.left) / unit + this.frame.left, y = (event.clientY - box.top) / unit + this.frame.top;
    return this.windows.at(x, y);
  }
}

// A matrix as an image of its own size: value(row, column) → [r, g, b].
function raster(rows, columns, value) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, at += 4) {
      image.data.set(value(row, column), at);
      image.data[at + 3] = 255;
    }
  context.putImageData(image, 0, 0);
  return canvas;
}

// A raster on a canvas, with lines at a row and a column of it where these are given.
function showRaster(canvas, image, ratio, {row = null, column = null}) {
  const {context, width, height} = prepare(canvas, ratio);
  context.imageSmoothingEnabled = image.height > 1.5 * height || image.width > 1.5 * width;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  for (const [style, thick] of [["white", 2.6], [INK, 1]]) {
    context.strokeStyle = style;
    context.lineWidth = thick;
    if (row !== null) {
      const step = height / image.height;
      context.strokeRect(-4, row * step, width + 8, step);
    }
    if (column !== null) {
      const step = width / image.width;
      context.strokeRect(column * step, -4, step, height + 8);
    }
  }
}
