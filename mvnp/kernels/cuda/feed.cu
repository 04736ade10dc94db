// Pictures as they are stored to what a model takes, in one pass. See mvnp/data/transforms.py.

// x (B, C, H, W) of images (B, H, W, C): mirrored where moves[b][0], cut at (moves[b][1], moves[b][2]) of the image padded by
// `padding` on every side, with zeros or (reflect) with the image mirrored at its edge; and then v · factor + shift.
extern "C" __global__ void prepare(
    T* __restrict__ x, const unsigned char* __restrict__ images, const int* __restrict__ moves, const A* __restrict__ factor,
    const A* __restrict__ shift, int H, int W, int C, int padding, int reflect, int count
) {
    EACH(i, count) {
        int w = i % W, h = i / W % H, c = i / W / H % C, b = i / W / H / C;
        int row = h + moves[3 * b + 1] - padding, column = w + moves[3 * b + 2] - padding;
        if (reflect) {
            row = row < 0 ? -row : row >= H ? 2 * H - 2 - row : row;
            column = column < 0 ? -column : column >= W ? 2 * W - 2 - column : column;
        }
        bool inside = row >= 0 && row < H && column >= 0 && column < W;
        if (moves[3 * b]) column = W - 1 - column;
        A value = inside ? A(images[(((size_t)b * H + row) * W + column) * C + c]) : A(0);
        x[i] = T(value * factor[c] + shift[c]);
    }
}
