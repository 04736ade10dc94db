// Numbers: arrays as packing.py writes them, a byte for each number and a scale for each row, or float32; and numbers in words.

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

// {shape, values}: values is flat, the last axis runs fastest.
function unpack(packed) {
  const raw = bytesOf(packed.data);
  if (packed.kind === "float32") return {shape: packed.shape, values: new Float32Array(raw)};
  const signed = packed.kind === "int8";
  const q = signed ? new Int8Array(raw) : new Uint8Array(raw);
  const levels = signed ? 127 : 255;
  const scale = new Float32Array(bytesOf(packed.scale));
  const n = packed.shape[packed.shape.length - 1];
  const values = new Float32Array(q.length);
  for (let i = 0; i < q.length; i++) values[i] = scale[Math.floor(i / n)] * q[i] / levels;
  return {shape: packed.shape, values};
}

// A 256-step colour map, hexadecimal as Python wrote it, to [[r, g, b], …].
function colourTable(text) {
  return Array.from({length: text.length / 6}, (_, i) =>
    [0, 2, 4].map((offset) => parseInt(text.slice(6 * i + offset, 6 * i + offset + 2), 16)));
}

function largest(values) {
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return most;
}

// A number in three digits, as one would write it.
function shown(value) {
  if (Number.isNaN(value)) return "none";
  const size = Math.abs(value), sign = value < 0 ? "−" : "";
  if (size === 0 || (size >= 0.001 && size < 10000)) return sign + String(Number(size.toPrecision(3)));
  const [digits, exponent] = size.toExponential(1).split("e");
  const raised = exponent.replace("+", "").replace(/./g, (letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)]);
  return `${sign}${digits}·10${raised}`;
}
