// BatchNorm: sums over the rows of (rows, C), and formulas that need what a channel's sums gave. The numbers in brackets are
// those of mvnp/layers/batchnorm.py.
//
// A sum over rows is made in two steps. In the first, block (i, j) takes 32 channels, from 32 i, and the j-th chunk of the
// rows; its thread (lane, k) goes through every GROUP-th row of the chunk for its channel, so that a warp reads neighbours, and
// at the end the threads of a channel put together what they have. The second step puts the chunks together. Nothing is added
// atomically: the order is fixed, and a second run gives the same bits.

#define GROUP 8
#define MERGERS 16
#define FLIGHT 8  // rows whose loads are under way together

// Numbers seen so far: how many, their mean, and the sum of their squared distances from it.
struct Moments {
    A mean, squares;
    int count;
};

// One number more, without ever subtracting large sums (Welford 1962).
__device__ inline void add(Moments& all, A value) {
    all.count++;
    A delta = value - all.mean;
    all.mean += delta / all.count;
    all.squares += delta * (value - all.mean);
}

// The moments of FLIGHT numbers at hand: no division, as their number is a constant.
__device__ inline Moments of_numbers(const A (&values)[FLIGHT]) {
    A sum = 0, squares = 0;
#pragma unroll
    for (int i = 0; i < FLIGHT; i++) sum += values[i];
    A mean = sum * A(1.0 / FLIGHT);
#pragma unroll
    for (int i = 0; i < FLIGHT; i++) squares += (values[i] - mean) * (values[i] - mean);
    return {mean, squares, FLIGHT};
}

// The moments of both together, as `merged` of mvnp/layers/batchnorm.py has them.
__device__ inline void merge(Moments& all, const Moments& more) {
    if (more.count == 0) return;
    A share = A(more.count) / (all.count + more.count), delta = more.mean - all.mean;
    all.mean += delta * share;
    all.squares += more.squares + delta * delta * share * all.count;
    all.count += more.count;
}

// mean and squares are (gridDim.y, C): of each chunk of `chunk` rows.
extern "C" __global__ void moments(
    const T* __restrict__ x, A* __restrict__ mean, A* __restrict__ squares, int rows, int C, int chunk
) {
    __shared__ Moments found[GROUP][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;
    int begin = blockIdx.y * chunk, end = min(begin + chunk, rows);

    Moments mine = {0, 0, 0};
    if (c < C) {
        int row = begin + k;
        for (; row + (FLIGHT - 1) * GROUP < end; row += FLIGHT * GROUP) {
            A values[FLIGHT];
#pragma unroll
            for (int i = 0; i < FLIGHT; i++) values[i] = A(x[(size_t)(row + i * GROUP) * C + c]);
            merge(mine, of_numbers(values));
        }
        for (; row < end; row += GROUP) add(mine, A(x[(size_t)row * C + c]));
    }
    found[k][lane] = mine;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < GROUP; other++) merge(mine, found[other][lane]);
        mean[(size_t)blockIdx.y * C + c] = mine.mean;
        squares[(size_t)blockIdx.y * C + c] = mine.squares;
    }
}

// Those of all rows, (C,), from those of the chunks, (chunks, C). Each has `chunk` rows; the last has what is left.
extern "C" __global__ void merge_moments(
    const A* chunk_mean, const A* chunk_squares, A* mean, A* squares, int rows, int C, int chunk, int chunks
) {
    __shared__ Moments merged[MERGERS][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;

    Moments mine = {0, 0, 0};
    if (c < C)
        for (int j = k; j < chunks; j += MERGERS) {
            Moments one = {chunk_mean[(size_t)j * C + c], chunk_squares[(size_t)j * C + c], min(chunk, rows - j * chunk)};
            merge(mine, one);
        }
    merged[k][lane] = mine;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < MERGERS; other++) merge(mine, merged[other][lane]);
        mean[c] = mine.mean;
        squares[c] = mine.squares;
    }
}

// (3), but for r: Σ dy (x − μ) and Σ dy over the rows of each chunk, (gridDim.y, C) each.
extern "C" __global__ void parameter_gradients(
    const T* __restrict__ dy, const T* __restrict__ x, const A* __restrict__ mean, A* __restrict__ of_product,
    A* __restrict__ of_dy, int rows, int C, int chunk
) {
    __shared__ A products[GROUP][WARP], plain[GROUP][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;
    int begin = blockIdx.y * chunk, end = min(begin + chunk, rows);

    A product = 0, sum = 0;
    if (c < C)
        for (int row = begin + k; row < end; row += GROUP) {
            A d = A(dy[(size_t)row * C + c]);
            product += d * (A(x[(size_t)row * C + c]) - mean[c]);
            sum += d;
        }
    products[k][lane] = product;
    plain[k][lane] = sum;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < GROUP; other++) {
            product += products[other][lane];
            sum += plain[other][lane];
        }
        of_product[(size_t)blockIdx.y * C + c] = product;
        of_dy[(size_t)blockIdx.y * C + c] = sum;
    }
}

// (1), number by number; the scale is γ r.
extern "C" __global__ void standardise(
    const T* __restrict__ x, const A* __restrict__ mean, const A* __restrict__ scale, const A* __restrict__ bias, T* __restrict__ y,
    int C, int count, int fours
) {
    if (fours) {
        EACH(i, count / 4) {
            unsigned c = 4 * i % C;
            Four some = load(x + 4 * (size_t)i);
#pragma unroll
            for (int j = 0; j < 4; j++) some.value[j] = T((A(some.value[j]) - mean[c + j]) * scale[c + j] + bias[c + j]);
            store(y + 4 * (size_t)i, some);
        }
        return;
    }
    EACH(i, count) {
        unsigned c = i % C;
        y[i] = T((A(x[i]) - mean[c]) * scale[c] + bias[c]);
    }
}

// (2), number by number; of_dy, of_g and of_x are γ r, r ⟨g⟩ and r² ⟨g x̂⟩.
extern "C" __global__ void input_gradient(
    const T* __restrict__ dy, const T* __restrict__ x, const A* __restrict__ mean, const A* __restrict__ of_dy,
    const A* __restrict__ of_g, const A* __restrict__ of_x, T* __restrict__ dx, int C, int count, int fours
) {
    if (fours) {
        EACH(i, count / 4) {
            unsigned c = 4 * i % C;
            Four d = load(dy + 4 * (size_t)i), some = load(x + 4 * (size_t)i);
#pragma unroll
            for (int j = 0; j < 4; j++)
                some.value[j] =
                    T(of_dy[c + j] * A(d.value[j]) - of_g[c + j] - (A(some.value[j]) - mean[c + j]) * of_x[c + j]);
            store(dx + 4 * (size_t)i, some);
        }
        return;
    }
    EACH(i, count) {
        unsigned c = i % C;
        dx[i] = T(of_dy[c] * A(dy[i]) - of_g[c] - (A(x[i]) - mean[c]) * of_x[c]);
    }
}
