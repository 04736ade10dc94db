// Where tokens stand, as mvnp/visualize/arrays/geometry.py has it. Token (row, column) is centred on pixel
// (offset + stride · column, offset + stride · row).

class Tokens {
  constructor({H, W, stride, offset}) {
    Object.assign(this, {H, W, stride, offset, Hp: H, Wp: W, rows: 0, columns: 0, count: 1, firstRow: 0});
  }

  pixel(place) {
    return this.offset + this.stride * place;
  }

  isReal(row, column) {
    return row < this.H && column < this.W;
  }

  // The token nearest to a pixel.
  at(x, y) {
    const clamp = (value, least, count) => Math.max(least, Math.min(count - 1, Math.round((value - this.offset) / this.stride)));
    const row = clamp(y, this.firstRow, this.Hp);
    return [row, clamp(x, 0, this.width(row))];
  }

  width() {
    return this.Wp;
  }

  // A token in words.
  name(row, column) {
    return `row ${row}, column ${column}`;
  }
}

// Windows of P·P tokens, numbered and scanned row by row.
class Windows extends Tokens {
  constructor(block) {
    super(block);
    const P = this.P = block.P;
    this.L = P * P;
    this.rows = Math.ceil(this.H / P);
    this.columns = Math.ceil(this.W / P);
    this.count = this.rows * this.columns;
    this.Hp = this.rows * P;
    this.Wp = this.columns * P;
  }

  // [row, column] on the padded map of token t of a window.
  place(window, t) {
    return [Math.floor(window / this.columns) * this.P + Math.floor(t / this.P), (window % this.columns) * this.P + t % this.P];
  }

  // The window and the token in it: {window, t}.
  find(row, column) {
    const window = Math.floor(row / this.P) * this.columns + Math.floor(column / this.P);
    return {window, t: (row % this.P) * this.P + column % this.P};
  }
}

// One sequence over the whole map. Class tokens, which have no place, stand in a row of their own above it, row −1.
class Sequence extends Tokens {
  constructor(block) {
    super(block);
    this.L = block.order.length;
    let special = 0;
    this.places = block.order.map((number) => number < 0 ? [-1, special++] : [Math.floor(number / this.W), number % this.W]);
    this.special = special;
    this.firstRow = special ? -1 : 0;
  }

  place(window, t) {
    return [...this.places[t]];
  }

  find(row, column) {
    return {window: 0, t: this.places.findIndex(([r, c]) => r === row && c === column)};
  }

  width(row) {
    return row < 0 ? this.special : this.Wp;
  }

  name(row, column) {
    if (row >= 0) return super.name(row, column);
    return this.special > 1 ? `class token ${column + 1}` : "the class token";
  }
}

const tokensOf = (block) => block.order ? new Sequence(block) : new Windows(block);
