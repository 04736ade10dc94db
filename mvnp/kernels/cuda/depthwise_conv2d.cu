// Depthwise conv2d. A thread makes one number of y or dx from all taps of it; 32 neighbouring channels are read together. The
// numbers in brackets are those of mvnp/layers/depthwise_conv2d.py.

#ifndef HIGH
#define HIGH 3  // Kh, the model's
#define WIDE 3  // Kw
#endif
#define TAPS (HIGH * WIDE)

// (1), and with the weights of (2) in their place, dx. Tap (0, 0) looks `p` rows up and `q` columns to the left; weight (TAPS, D).
extern "C" __global__ void depthwise_conv2d_taps(
    const T* __restrict__ x, const A* __restrict__ weight, const A* __restrict__ bias, T* __restrict__ y, int H, int W, int D,
    int p, int q, int count
) {
    EACH(i, count) {
        int d = i % D, pixel = i / D, w = pixel % W, row = pixel / W, h = row % H;
        A v = bias[d];
#pragma unroll
        for (int k = 0; k < HIGH; k++) {
            int up = h + k - p;
            if (up < 0 || up >= H) continue;
#pragma unroll
            for (int j = 0; j < WIDE; j++) {
                int left = w + j - q;
                if (left < 0 || left >= W) continue;
                v += weight[(k * WIDE + j) * D + d] * A(x[((size_t)(row + k - p) * W + left) * D + d]);
            }
        }
        y[i] = T(v);
    }
}

// (3). Block (i, j) has the channels from 32 j; its warp k goes along row i · blockDim.y + k of all maps there are, from left to
// right. sums (rows, TAPS + 1, D): dw and db of each row, which the caller adds up, in a fixed order.
extern "C" __global__ void depthwise_conv2d_weight(
    const T* __restrict__ dy, const T* __restrict__ x, A* __restrict__ sums, int rows, int H, int W, int D, int p, int q
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y, d = blockIdx.y * WARP + threadIdx.x, h = row % H;
    if (row >= rows || d >= D) return;  // no thread waits for another
    A dw[TAPS] = {}, db = 0;
    for (int w = 0; w < W; w++) {
        A slope = dy[((size_t)row * W + w) * D + d];
        db += slope;
#pragma unroll
        for (int k = 0; k < HIGH; k++) {
            int up = h + k - p;
#pragma unroll
            for (int j = 0; j < WIDE; j++) {
                int left = w + j - q;
                bool inside = up >= 0 && up < H && left >= 0 && left < W;
                dw[k * WIDE + j] += inside ? slope * A(x[((size_t)(row + k - p) * W + left) * D + d]) : A(0);
            }
        }
    }
    A* of_row = sums + (size_t)row * (TAPS + 1) * D + d;
#pragma unroll
    for (int tap = 0; tap < TAPS; tap++) of_row[(size_t)tap * D] = dw[tap];
    of_row[(size_t)TAPS * D] = db;
}
