// Where tokens stand, as mvnp/visualize/arrays/geometry.py has it: windows of P·P tokens, numbered and scanned row by row;
// token (row, column) is centred on pixel (stride · column, stride · row).

class Windows {
  constructor({H, W, P, stride}) {
    Object.assign(this, {H, W, P, stride, L: P * P});
    this.rows = Math.ceil(H / P);
    this.columns = Math.ceil(W / P);
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

  isReal(row, column) {
    return row < this.H && column < this.W;
  }

  // The token nearest to a pixel.
  at(x, y) {
    const clamp = (value, count) => Math.max(0, Math.min(count - 1, Math.round(value / this.stride)));
    return [clamp(y, this.Hp), clamp(x, this.Wp)];
  }
}
