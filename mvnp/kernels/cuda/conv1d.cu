// Depthwise conv1d, with or without the SiLU behind it. A thread walks along some tokens of a channel and has the numbers that its
// TAPS taps look at in registers, so that each is read once; 32 neighbouring channels make a warp. The numbers in brackets are
// those of mvnp/layers/conv1d.py.
//
// Block (i, j) has the channels from 32 j; its warp k has walk i · blockDim.y + k of the batch · walks there are: WALK tokens of a
// sample, from a multiple of WALK.

#ifndef TAPS
#define TAPS 3  // K, the model's
#endif
#define WALK 32  // a longer one reads less twice, at its ends; a shorter one leaves more threads
#ifndef BEHIND
#define BEHIND ((TAPS - 1) / 2)  // p, how far the first tap looks back
#endif

// The tokens of a warp, and its threads' channel: `at` is where token 0 of it lies in an array without gaps. Whole warps may have no tokens, and threads
// no channel; they do not wait for each other, so these may leave at once.
struct Walk {
    int begin, end, channel;
    size_t sample, at, number;
    bool empty;
};

__device__ inline Walk my_walk(int batch, int L, int D) {
    int walks = (L + WALK - 1) / WALK, number = blockIdx.x * blockDim.y + threadIdx.y;
    int begin = number % walks * WALK, channel = blockIdx.y * WARP + threadIdx.x;
    size_t sample = number / walks;
    bool empty = number >= batch * walks || channel >= D;
    return {begin, min(begin + WALK, L), channel, sample, sample * L * D + channel, (size_t)number, empty};
}

// Token t of x, whose rows are `pitch` numbers apart; 0 outside of the sequence.
__device__ inline A token(const T* x, int pitch, const Walk& walk, int t, int L) {
    return t >= 0 && t < L ? A(x[(walk.sample * L + t) * pitch + walk.channel]) : A(0);
}

// Moves everything one place on: the oldest leaves at 0, `newest` comes in at the end.
__device__ inline void push(A (&window)[TAPS], A newest) {
#pragma unroll
    for (int k = 0; k + 1 < TAPS; k++) window[k] = window[k + 1];
    window[TAPS - 1] = newest;
}

__device__ inline A sigmoid(A v) { return A(0.5) * (1 + tanh(A(0.5) * v)); }

// (1), and (4) where `silu`.
extern "C" __global__ void conv1d_forward(
    const T* __restrict__ x, int x_pitch, const A* __restrict__ weight, const A* __restrict__ bias, T* __restrict__ y, int batch,
    int L, int D, int silu, int has_bias
) {
    Walk walk = my_walk(batch, L, D);
    if (walk.empty) return;
    A w[TAPS], offset = has_bias ? bias[walk.channel] : A(0), window[TAPS];  // x_(t − p) … x_(t − p + K − 1)
    for (int k = 0; k < TAPS; k++) w[k] = weight[walk.channel * TAPS + k];
    for (int k = 0; k < TAPS; k++) window[k] = token(x, x_pitch, walk, walk.begin - 1 + k - BEHIND, L);
#pragma unroll 8
    for (int t = walk.begin; t < walk.end; t++) {
        push(window, token(x, x_pitch, walk, t + TAPS - 1 - BEHIND, L));
        A v = offset;
        for (int k = 0; k < TAPS; k++) v += w[k] * window[k];
        y[walk.at + (size_t)t * D] = T(silu ? v * sigmoid(v) : v);
    }
}

// (4), (2) and (3). dv is made again from x, at each token once, and goes into dx of up to TAPS tokens, the last of which is
// t − p: behind that, dx is complete. A walk starts TAPS − 1 tokens earlier, with dv that its first tokens need and that another
// walk sums up. sums (batch · walks, TAPS + 1, D): dw and db of each walk, which the caller adds up, in a fixed order.
extern "C" __global__ void conv1d_backward(
    const T* __restrict__ dy, int dy_pitch, const T* __restrict__ x, int x_pitch, const A* __restrict__ weight,
    const A* __restrict__ bias, T* __restrict__ dx, A* __restrict__ sums, int batch, int L, int D, int silu,
    int has_bias
) {
    Walk walk = my_walk(batch, L, D);
    if (walk.empty) return;
    A w[TAPS], dw[TAPS] = {}, db = 0, offset = has_bias ? bias[walk.channel] : A(0);
    A window[TAPS], dv_window[TAPS] = {};  // of x as above; and dv_(t − K + 1) … dv_t
    int start = walk.begin + BEHIND - (TAPS - 1);  // dx of token s is complete at t = s + p
    for (int k = 0; k < TAPS; k++) w[k] = weight[walk.channel * TAPS + k];
    for (int k = 0; k < TAPS; k++) window[k] = token(x, x_pitch, walk, start - 1 + k - BEHIND, L);
#pragma unroll 4
    for (int t = start; t < walk.end + BEHIND; t++) {
        push(window, token(x, x_pitch, walk, t + TAPS - 1 - BEHIND, L));
        A dv = token(dy, dy_pitch, walk, t, L);
        if (silu) {
            A v = offset;
            for (int k = 0; k < TAPS; k++) v += w[k] * window[k];
            A gate = sigmoid(v);
            dv *= gate * (1 + v * (1 - gate));  // (4)
        }
        push(dv_window, dv);
        if (t >= walk.begin && t < walk.end) {
            for (int k = 0; k < TAPS; k++) dw[k] += dv * window[k];  // (2)
            db += dv;                                                // (3)
        }
        int s = t - BEHIND;
        if (s < walk.begin) continue;
        A sum = 0;
        for (int k = 0; k < TAPS; k++) sum += w[k] * dv_window[TAPS - 1 - k];  // (2): dv_(s − k + p) = dv_(t − k)
        dx[walk.at + (size_t)s * D] = T(sum);
    }
    A* row = sums + walk.number * (TAPS + 1) * D + walk.channel;
    for (int k = 0; k < TAPS; k++) row[(size_t)k * D] = dw[k];
    row[(size_t)TAPS * D] = db;
}
