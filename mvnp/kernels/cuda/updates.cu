// A step of an optimiser over all parameters at once. They lie one after the other in one row of memory, `p`, and so do
// gradients and moments; each begins at a multiple of CHUNK, with zeros behind it, so that a chunk belongs to a single
// parameter, `owner`. The numbers in brackets are those of mvnp/training/adamw.py, lamb.py and clipping.py.

#define CHUNK 1024
#define THREADS 256  // of a block, which does one chunk: four neighbours a thread
#define MANY 32  // gradients that a launch gathers

// Neither infinite nor NaN.
__device__ inline bool is_finite(A v) { return v - v == 0; }

// The sum over the THREADS of a block, in thread 0.
__device__ inline A block_sum(A value) {
    __shared__ A of_warps[32];
    int threads = blockDim.x, warp = threadIdx.x / WARP;
    value = warp_sum(value);
    if (threadIdx.x % WARP == 0) of_warps[warp] = value;
    __syncthreads();
    A sum = 0;
    if (threadIdx.x == 0)
        for (int i = 0; i < threads / WARP; i++) sum += of_warps[i];
    return sum;
}

// Gradients first … first + MANY − 1, each in memory of its own, into `flat`; and the sums of their squares, one for each
// block.
extern "C" __global__ void gather(
    T* __restrict__ flat, A* __restrict__ squares, const int* __restrict__ starts, const int* __restrict__ sizes, int first, int count,
    const T* g0, const T* g1, const T* g2, const T* g3, const T* g4, const T* g5, const T* g6, const T* g7,
    const T* g8, const T* g9, const T* g10, const T* g11, const T* g12, const T* g13, const T* g14, const T* g15,
    const T* g16, const T* g17, const T* g18, const T* g19, const T* g20, const T* g21, const T* g22, const T* g23,
    const T* g24, const T* g25, const T* g26, const T* g27, const T* g28, const T* g29, const T* g30, const T* g31
) {
    const T* from = g0;
#define TAKE(i) if (blockIdx.y == i) from = g##i;
    TAKE(0) TAKE(1) TAKE(2) TAKE(3) TAKE(4) TAKE(5) TAKE(6) TAKE(7)
    TAKE(8) TAKE(9) TAKE(10) TAKE(11) TAKE(12) TAKE(13) TAKE(14) TAKE(15)
    TAKE(16) TAKE(17) TAKE(18) TAKE(19) TAKE(20) TAKE(21) TAKE(22) TAKE(23)
    TAKE(24) TAKE(25) TAKE(26) TAKE(27) TAKE(28) TAKE(29) TAKE(30) TAKE(31)
    int number = first + blockIdx.y;
    A sum = 0;
    if (int(blockIdx.y) < count) {
        int size = sizes[number];
        T* to = flat + starts[number];
        for (int i = blockIdx.x * THREADS + threadIdx.x; i < size; i += gridDim.x * THREADS) {
            T value = from[i];
            to[i] = value;
            sum += A(value) * A(value);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0 && int(blockIdx.y) < count) squares[(size_t)number * gridDim.x + blockIdx.x] = sum;
}

// found = (loss, n, min(1, c / (n + 1e-6))), (1) of clipping.py, by one block; no limit: c < 0.
extern "C" __global__ void find_norm(A* __restrict__ found, const A* __restrict__ squares, const A* __restrict__ loss, int count, A c) {
    A sum = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += squares[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        A norm = sqrt(sum), longest = norm + A(1e-6);
        found[0] = loss[0];
        found[1] = norm;
        found[2] = c >= 0 && longest > c ? c / longest : A(1);
    }
}

// (1) to (3) of adamw.py, unless the loss or the norm is not finite. rates and decays: a factor of η, and λ, of each parameter.
extern "C" __global__ void adamw(
    T* __restrict__ p, const T* __restrict__ g, T* __restrict__ m, T* __restrict__ v, const A* __restrict__ found,
    const int* __restrict__ owner, const A* __restrict__ rates, const A* __restrict__ decays, A lr, A beta1, A rest1, A beta2, A rest2,
    A correction, A root, A eps
) {
    if (!is_finite(found[0]) || !is_finite(found[1])) return;
    int mine = owner[blockIdx.x];
    A factor = found[2], rate = lr * rates[mine], keep = 1 - rate * decays[mine], step = rate * correction;
    size_t at = (size_t)blockIdx.x * CHUNK + threadIdx.x * 4;
    Four ps = load(p + at), gs = load(g + at), ms = load(m + at), vs = load(v + at);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        A d = A(gs.value[i]) * factor;
        A first = beta1 * A(ms.value[i]) + rest1 * d;        // (1)
        A second = beta2 * A(vs.value[i]) + rest2 * d * d;
        ms.value[i] = T(first);
        vs.value[i] = T(second);
        ps.value[i] = T(keep * A(ps.value[i]) - step * first / (sqrt(second) * root + eps));  // (2), (3)
    }
    store(p + at, ps);
    store(m + at, ms);
    store(v + at, vs);
}

// (1) to (3) of lamb.py: u takes the place of g, and of each chunk there are Σ θ² and Σ u². limit: G, or < 0 for none.
extern "C" __global__ void lamb_direction(
    T* __restrict__ p, T* __restrict__ g, T* __restrict__ m, T* __restrict__ v, const A* __restrict__ found,
    const int* __restrict__ owner, const A* __restrict__ rates, const A* __restrict__ decays, A* __restrict__ squares, A lr, A limit,
    A beta1, A rest1, A beta2, A rest2, A correction, A root, A eps, int decoupled
) {
    if (!is_finite(found[0]) || !is_finite(found[1])) return;  // the whole launch
    int mine = owner[blockIdx.x];
    A factor = found[2], norm = found[1] * factor, decay = decays[mine], rate = lr * rates[mine], of_p = 0, of_u = 0;
    if (limit >= 0 && norm > limit) factor *= limit / norm;  // (1)
    size_t at = (size_t)blockIdx.x * CHUNK + threadIdx.x * 4;
    Four ps = load(p + at), gs = load(g + at), ms = load(m + at), vs = load(v + at);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        A d = A(gs.value[i]) * factor, theta = A(ps.value[i]);
        A first = beta1 * A(ms.value[i]) + rest1 * d;  // (2)
        A second = beta2 * A(vs.value[i]) + rest2 * d * d;
        A u = first * correction / (sqrt(second) * root + eps);  // (3)
        if (decoupled) theta -= rate * decay * theta;
        else u += decay * theta;
        ms.value[i] = T(first);
        vs.value[i] = T(second);
        gs.value[i] = T(u);
        ps.value[i] = T(theta);
        of_p += theta * theta;
        of_u += u * u;
    }
    store(g + at, gs);
    store(m + at, ms);
    store(v + at, vs);
    if (decoupled) store(p + at, ps);
    of_p = block_sum(of_p);
    __syncthreads();  // before the second sum takes the memory of the first
    of_u = block_sum(of_u);
    if (threadIdx.x == 0) {
        squares[2 * blockIdx.x] = of_p;
        squares[2 * blockIdx.x + 1] = of_u;
    }
}

// (4): r of each parameter, by a block of its own, from its chunks first[i] … first[i + 1] − 1.
extern "C" __global__ void lamb_ratios(
    A* __restrict__ ratios, const A* __restrict__ squares, const int* __restrict__ first, const A* __restrict__ decays, int always,
    int clip
) {
    A of_p = 0, of_u = 0;
    for (int i = first[blockIdx.x] + threadIdx.x; i < first[blockIdx.x + 1]; i += blockDim.x) {
        of_p += squares[2 * i];
        of_u += squares[2 * i + 1];
    }
    of_p = block_sum(of_p);
    __syncthreads();
    of_u = block_sum(of_u);
    if (threadIdx.x) return;
    A r = of_p > 0 && of_u > 0 ? sqrt(of_p) / sqrt(of_u) : A(1);
    if (clip) r = min(r, A(1));
    ratios[blockIdx.x] = always || decays[blockIdx.x] > 0 ? r : A(1);
}

// (5)
extern "C" __global__ void lamb_step(
    T* __restrict__ p, const T* __restrict__ u, const A* __restrict__ found, const int* __restrict__ owner,
    const A* __restrict__ rates, const A* __restrict__ ratios, A lr
) {
    if (!is_finite(found[0]) || !is_finite(found[1])) return;
    A step = lr * rates[owner[blockIdx.x]] * ratios[owner[blockIdx.x]];
    size_t at = (size_t)blockIdx.x * CHUNK + threadIdx.x * 4;
    Four ps = load(p + at), us = load(u + at);
#pragma unroll
    for (int i = 0; i < 4; i++) ps.value[i] = T(A(ps.value[i]) - step * A(us.value[i]));
    store(p + at, ps);
}
