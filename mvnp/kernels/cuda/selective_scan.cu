// Selective scan. One warp (a block of 32 threads) for 32 channels of one sample, a thread for each channel: it walks along the
// tokens and has the STATES numbers of its channel's state in registers. The numbers in brackets are those of
// mvnp/layers/selective_scan.py.
//
// B and C are the same for all channels: the warp fetches some tokens' worth of them together into shared memory.
//
// Block (i, j) has the channels from 32 j, and of sample i % batch the tokens of part i / batch. In one pass there is a single
// part. Parallel over time there are many, and each needs what the tokens outside of it left behind: the state before it, and
// going back what the future wants of the state at its end. `chunk_states`, `chunk_carries` and `carry_over` work these out.

#ifndef STATES
#define STATES 8  // of a channel; those of the model
#endif
#define TILE 16  // tokens whose numbers are fetched before the first of them is used

// e^(ΔA) = 2^(Δ A log₂ e): powers of two are an instruction of the GPU, and A log₂ e is made once.
#define LOG2_E A(1.4426950408889634)
#define LN_2 A(0.6931471805599453)

// The channel of a thread. Those of the last warp may have none: they go along, with zeros, because the others need them in
// barriers and shuffles, and write nothing.
#define CHANNEL (int(blockIdx.y) * WARP + int(threadIdx.x))

__device__ inline A softplus(A v) { return max(v, A(0)) + log1p(exp(-abs(v))); }

// Where the row of a token begins, `pitch` numbers behind the one before.
__device__ inline size_t token_row(int sample, int token, int l, int pitch) { return ((size_t)sample * l + token) * pitch; }

// The state of this thread's channel, in an array (rows, STATES, d).
__device__ inline size_t state_row(size_t row, int d) { return row * STATES * d + CHANNEL; }

// A log₂ e of this thread's channel.
__device__ inline void get_rates(const A* a, int d, A (&rate)[STATES]) {
    for (int n = 0; n < STATES; n++) rate[n] = CHANNEL < d ? a[(size_t)CHANNEL * STATES + n] * LOG2_E : 0;
}

// `tokens` of this thread's channel, `pitch` numbers apart, into its column of shared memory. The addresses do not depend on each other, so that the
// fetches are under way at the same time.
__device__ inline void get_column(const T* from, int pitch, int tokens, int d, A (*to)[WARP]) {
#pragma unroll 8
    for (int k = 0; k < tokens; k++) to[k][threadIdx.x] = CHANNEL < d ? A(from[(size_t)k * pitch + CHANNEL]) : A(0);
}

// The same of B or C, whole rows, by the whole warp. Who reads them waits at a barrier first.
__device__ inline void get_gates(const T* from, int pitch, int tokens, A (*to)[STATES]) {
    for (int i = threadIdx.x; i < tokens * STATES; i += WARP) to[i / STATES][i % STATES] = from[(size_t)(i / STATES) * pitch + i % STATES];
}

// (1) to (3), over the `span` tokens of a part. Every `every`-th state is written to `kept` (parts, batch, STATES, d), none for
// every = 0; and a part but the first starts from the state there. Δ is kept as well, where `keep_delta`.
extern "C" __global__ void scan_forward(
    const T* __restrict__ x, const T* __restrict__ dt, const A* __restrict__ a, const T* __restrict__ B, int B_pitch,
    const T* __restrict__ C, int C_pitch, const A* __restrict__ D, const A* __restrict__ bias, T* __restrict__ y,
    T* __restrict__ delta, A* __restrict__ kept, int batch, int l, int d, int span, int every, int softplus_on, int keep_delta
) {
    __shared__ A x_tile[TILE][WARP], dt_tile[TILE][WARP], B_tile[TILE][STATES], C_tile[TILE][STATES];
    int sample = blockIdx.x % batch, part = blockIdx.x / batch, c = CHANNEL, lane = threadIdx.x;
    int begin = part * span, end = min(begin + span, l), next_kept = every ? begin : end;
    bool mine = c < d;
    A skip = mine ? D[c] : 0, offset = mine ? bias[c] : 0, rate[STATES], h[STATES];
    get_rates(a, d, rate);
    for (int n = 0; n < STATES; n++) h[n] = mine && part ? kept[state_row((size_t)part * batch + sample, d) + (size_t)n * d] : 0;

    for (int first = begin; first < end; first += TILE) {
        int tokens = min(TILE, end - first);
        get_column(x + token_row(sample, first, l, d), d, tokens, d, x_tile);
        get_column(dt + token_row(sample, first, l, d), d, tokens, d, dt_tile);
        get_gates(B + token_row(sample, first, l, B_pitch), B_pitch, tokens, B_tile);
        get_gates(C + token_row(sample, first, l, C_pitch), C_pitch, tokens, C_tile);
        __syncwarp();

        for (int k = 0; k < tokens; k++) {
            if (first + k == next_kept) {
                size_t row = state_row((size_t)(next_kept / every) * batch + sample, d);
                for (int n = 0; n < STATES && mine; n++) kept[row + (size_t)n * d] = h[n];
                next_kept += every;
            }
            A value = x_tile[k][lane], step = dt_tile[k][lane] + offset;
            if (softplus_on) step = softplus(step);  // (1)
            A input = step * value, sum = skip * value;
            for (int n = 0; n < STATES; n++) {
                h[n] = exp2(step * rate[n]) * h[n] + input * B_tile[k][n];  // (2)
                sum += C_tile[k][n] * h[n];                                 // (3)
            }
            size_t at = token_row(sample, first + k, l, d) + c;
            if (mine) y[at] = T(sum);
            if (mine && keep_delta) delta[at] = T(step);
        }
        __syncwarp();  // before the next tile takes the place of this one
    }
}

// Of each part by itself: the state at its end, had it started from zero, (parts, batch, STATES, d); and ΣΔ, (parts, batch, d).
extern "C" __global__ void chunk_states(
    const T* __restrict__ x, const T* __restrict__ dt, const A* __restrict__ a, const T* __restrict__ B, int B_pitch,
    const A* __restrict__ bias, A* __restrict__ ends, A* __restrict__ total, int batch, int l, int d, int span, int softplus_on
) {
    __shared__ A x_tile[TILE][WARP], dt_tile[TILE][WARP], B_tile[TILE][STATES];
    int sample = blockIdx.x % batch, part = blockIdx.x / batch, c = CHANNEL, lane = threadIdx.x;
    int begin = part * span, end = min(begin + span, l);
    bool mine = c < d;
    A offset = mine ? bias[c] : 0, sum = 0, rate[STATES], h[STATES] = {};
    get_rates(a, d, rate);

    for (int first = begin; first < end; first += TILE) {
        int tokens = min(TILE, end - first);
        get_column(x + token_row(sample, first, l, d), d, tokens, d, x_tile);
        get_column(dt + token_row(sample, first, l, d), d, tokens, d, dt_tile);
        get_gates(B + token_row(sample, first, l, B_pitch), B_pitch, tokens, B_tile);
        __syncwarp();
        for (int k = 0; k < tokens; k++) {
            A step = dt_tile[k][lane] + offset;
            if (softplus_on) step = softplus(step);
            A input = step * x_tile[k][lane];
            for (int n = 0; n < STATES; n++) h[n] = exp2(step * rate[n]) * h[n] + input * B_tile[k][n];
            sum += step;
        }
        __syncwarp();
    }
    if (!mine) return;
    for (int n = 0; n < STATES; n++) ends[state_row(blockIdx.x, d) + (size_t)n * d] = h[n];
    total[(size_t)blockIdx.x * d + c] = sum;
}

// The same going back: exp(Δ_t A) g_t at the first token t of each part, had no later part wanted anything. (4)
extern "C" __global__ void chunk_carries(
    const T* __restrict__ dy, int dy_pitch, const T* __restrict__ delta, const A* __restrict__ a, const T* __restrict__ C,
    int C_pitch, A* __restrict__ carries, A* __restrict__ total, int batch, int l, int d, int span
) {
    __shared__ A dy_tile[TILE][WARP], step_tile[TILE][WARP], C_tile[TILE][STATES];
    int sample = blockIdx.x % batch, part = blockIdx.x / batch, c = CHANNEL, lane = threadIdx.x;
    int begin = part * span, end = min(begin + span, l);
    A sum = 0, rate[STATES], carry[STATES] = {};
    get_rates(a, d, rate);

    for (int last = end; last > begin; last -= TILE) {
        int first = max(last - TILE, begin), tokens = last - first;
        get_column(dy + token_row(sample, first, l, dy_pitch), dy_pitch, tokens, d, dy_tile);
        get_column(delta + token_row(sample, first, l, d), d, tokens, d, step_tile);
        get_gates(C + token_row(sample, first, l, C_pitch), C_pitch, tokens, C_tile);
        __syncwarp();
        for (int k = tokens - 1; k >= 0; k--) {
            A step = step_tile[k][lane];
            for (int n = 0; n < STATES; n++)
                carry[n] = exp2(step * rate[n]) * (C_tile[k][n] * dy_tile[k][lane] + carry[n]);
            sum += step;
        }
        __syncwarp();
    }
    if (c >= d) return;
    for (int n = 0; n < STATES; n++) carries[state_row(blockIdx.x, d) + (size_t)n * d] = carry[n];
    total[(size_t)blockIdx.x * d + c] = sum;
}

// From what each part left by itself to what is there before each part: a part passes on exp(A ΣΔ) of what it met, and its own.
// `values` (parts, batch, STATES, d) are replaced in their place; `back`: from the last part to the first. A thread has one of
// the batch · STATES · d numbers, which is the same in every part.
extern "C" __global__ void carry_over(
    A* __restrict__ values, const A* __restrict__ total, const A* __restrict__ a, int parts, int d, int back, int count
) {
    EACH(i, count) {
        unsigned c = i % d, n = i / d % STATES, sample = i / d / STATES, batch = count / d / STATES;
        A rate = a[(size_t)c * STATES + n] * LOG2_E, met = 0;
        for (int j = 0; j < parts; j++) {
            int part = back ? parts - 1 - j : j;
            A* value = values + (size_t)part * count + i;
            A own = *value;
            *value = met;
            met = exp2(rate * total[((size_t)part * batch + sample) * d + c]) * met + own;
        }
    }
}

// Sums over the 32 channels of the warp, of LEFT values of each, a power of two. Half of the values go to the thread DISTANCE
// lanes away in exchange for its share of the other half; then half of what is left to the one half as far away, and so on:
// LEFT + 4 shuffles in place of 5 LEFT. At the end thread i has in values[j] the sum of value i·(LEFT/32) + j; with fewer values
// than threads, 32/LEFT neighbours have the same one. LEFT and DISTANCE are constants, so that `values` stays in registers.
template <int LEFT, int DISTANCE = WARP / 2> __device__ inline void sum_channels(A* values) {
    if constexpr (DISTANCE > 0 && LEFT == 1) {
        values[0] += __shfl_xor_sync(WHOLE_WARP, values[0], DISTANCE);
        sum_channels<1, DISTANCE / 2>(values);
    } else if constexpr (DISTANCE > 0) {
        bool upper = threadIdx.x & DISTANCE;
#pragma unroll
        for (int i = 0; i < LEFT / 2; i++) {
            A lower_half = values[i], upper_half = values[LEFT / 2 + i];
            A given = __shfl_xor_sync(WHOLE_WARP, upper ? lower_half : upper_half, DISTANCE);
            values[i] = (upper ? upper_half : lower_half) + given;
        }
        sum_channels<LEFT / 2, DISTANCE / 2>(values);
    }
}

constexpr int power_of_two(int least) {
    int power = 1;
    while (power < least) power *= 2;
    return power;
}

#define VALUES power_of_two(2 * STATES)
#define OWNERS (VALUES < WARP ? WARP / VALUES : 1)    // threads that have the same sum
#define OWNED (VALUES < WARP ? 1 : VALUES / WARP)  // sums that a thread has

// (4) to (10), over the `span` tokens of a part, chunk by chunk of `every` tokens, from the last to the first. The states of a
// chunk are computed again, from the one kept before it, into shared memory: (every + 3·every/STATES + …) numbers, see below.
// `carries` (parts, batch, STATES, d): what the tokens behind each part want, zero for a single part.
//
// dgates (groups, batch, l, 2, STATES) are dB and dC, summed over 32 channels each; sums (parts, batch, STATES + 2, d) are dA,
// dD and ddt_bias, summed over the tokens of a part. The caller adds them up, so that the order of all sums is fixed.
extern "C" __global__ void scan_backward(
    const T* __restrict__ dy, int dy_pitch, const T* __restrict__ x, const T* __restrict__ delta, const A* __restrict__ a,
    const T* __restrict__ B, int B_pitch, const T* __restrict__ C, int C_pitch, const A* __restrict__ D,
    const A* __restrict__ kept, const A* __restrict__ carries, T* __restrict__ dx, T* __restrict__ ddt, A* __restrict__ dgates, A* __restrict__ sums,
    int batch, int l, int d, int span, int every, int softplus_on, int has_carries
) {
    DYNAMIC_SHARED(A, shared);
    A(*states)[STATES][WARP] = reinterpret_cast<A(*)[STATES][WARP]>(shared);  // h before each token of the chunk
    A(*x_tile)[WARP] = reinterpret_cast<A(*)[WARP]>(states + every);
    A(*step_tile)[WARP] = x_tile + every, (*dy_tile)[WARP] = step_tile + every;
    A(*B_tile)[STATES] = reinterpret_cast<A(*)[STATES]>(dy_tile + every), (*C_tile)[STATES] = B_tile + every;

    int sample = blockIdx.x % batch, part = blockIdx.x / batch, c = CHANNEL, lane = threadIdx.x;
    int begin = part * span, end = min(begin + span, l);
    bool mine = c < d;
    A skip = mine ? D[c] : 0, dD = 0, dbias = 0, rate[STATES], h[STATES], carry[STATES], dA[STATES] = {};
    get_rates(a, d, rate);
    for (int n = 0; n < STATES; n++)
        carry[n] = mine && has_carries ? carries[state_row(blockIdx.x, d) + (size_t)n * d] : 0;

    for (int chunk = (end - 1) / every; chunk * every >= begin; chunk--) {
        int first = chunk * every, tokens = min(every, end - first);
        get_column(x + token_row(sample, first, l, d), d, tokens, d, x_tile);
        get_column(delta + token_row(sample, first, l, d), d, tokens, d, step_tile);
        get_column(dy + token_row(sample, first, l, dy_pitch), dy_pitch, tokens, d, dy_tile);
        get_gates(B + token_row(sample, first, l, B_pitch), B_pitch, tokens, B_tile);
        get_gates(C + token_row(sample, first, l, C_pitch), C_pitch, tokens, C_tile);
        for (int n = 0; n < STATES; n++)
            h[n] = mine ? kept[state_row((size_t)chunk * batch + sample, d) + (size_t)n * d] : 0;
        __syncwarp();

        // (2) once more.
        for (int k = 0; k < tokens; k++) {
            A step = step_tile[k][lane], input = step * x_tile[k][lane];
            for (int n = 0; n < STATES; n++) {
                states[k][n][lane] = h[n];
                h[n] = exp2(step * rate[n]) * h[n] + input * B_tile[k][n];
            }
        }

        // Back. Here h is the state after token k, and `carry` what the tokens after k want of it.
        for (int k = tokens - 1; k >= 0; k--) {
            A value = x_tile[k][lane], step = step_tile[k][lane], d_y = dy_tile[k][lane];
            A into_state = 0, of_decay = 0, gates[VALUES] = {};
            for (int n = 0; n < STATES; n++) {
                A before = states[k][n][lane];
                A g = C_tile[k][n] * d_y + carry[n];  // (4)
                carry[n] = exp2(step * rate[n]) * g;
                A e = carry[n] * before;              // (5)
                dA[n] += e * step;                    // (6)
                of_decay += e * rate[n];              // Σ e A, but for ln 2
                into_state += g * B_tile[k][n];
                gates[n] = g * step * value;          // (7), of this channel
                gates[STATES + n] = d_y * h[n];
                h[n] = before;
            }
            dD += d_y * value;  // (6)
            A dstep = LN_2 * of_decay + value * into_state;  // (9)
            A d_dt = softplus_on ? dstep * -expm1(-step) : dstep;  // (10)
            dbias += d_dt;
            size_t at = token_row(sample, first + k, l, d) + c;
            if (mine) {
                dx[at] = T(step * into_state + skip * d_y);  // (8)
                ddt[at] = T(d_dt);
            }

            sum_channels<VALUES>(gates);
            A* row = dgates + (((size_t)blockIdx.y * batch + sample) * l + first + k) * 2 * STATES;
            for (int j = 0; j < OWNED; j++) {
                int number = lane / OWNERS * OWNED + j;
                if (lane % OWNERS == 0 && number < 2 * STATES) row[number] = gates[j];
            }
        }
        __syncwarp();  // the shuffles made the threads wait for each other, but they do not order accesses to memory
    }

    if (!mine) return;
    A* row = sums + (size_t)blockIdx.x * (STATES + 2) * d + c;
    for (int n = 0; n < STATES; n++) row[(size_t)n * d] = dA[n];
    row[(size_t)STATES * d] = dD;
    row[(size_t)(STATES + 1) * d] = dbias;
}
