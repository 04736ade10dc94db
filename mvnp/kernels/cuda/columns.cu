// Sums over the rows of (rows, C), in two steps. In the first, block (i, j) takes 32 columns, from 32 i, and the j-th chunk of
// the rows; its thread (lane, k) goes through every GROUP-th row of the chunk for its column, so that a warp reads neighbours,
// and at the end the threads of a column put together what they have. The second step adds up the chunks. Nothing is added
// atomically: the order is fixed, and a second run gives the same bits.

#define GROUP 8
#define MERGERS 16
#define FLIGHT 4  // rows whose loads are under way before the first is added

// sums (gridDim.y, C): of each chunk of `chunk` rows.
extern "C" __global__ void chunk_sums(const T* __restrict__ x, A* __restrict__ sums, int rows, int C, int chunk) {
    __shared__ A shared[GROUP][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;
    int begin = blockIdx.y * chunk + k, end = min(int(blockIdx.y + 1) * chunk, rows);

    A sum = 0;
    if (c < C) {
        int row = begin;
        for (; row + (FLIGHT - 1) * GROUP < end; row += FLIGHT * GROUP) {
            A values[FLIGHT];
#pragma unroll
            for (int i = 0; i < FLIGHT; i++) values[i] = A(x[(size_t)(row + i * GROUP) * C + c]);
#pragma unroll
            for (int i = 0; i < FLIGHT; i++) sum += values[i];
        }
        for (; row < end; row += GROUP) sum += A(x[(size_t)row * C + c]);
    }
    shared[k][lane] = sum;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < GROUP; other++) sum += shared[other][lane];
        sums[(size_t)blockIdx.y * C + c] = sum;
    }
}

// out (gridDim.y, C), from sums (gridDim.y, chunks, C).
extern "C" __global__ void add_chunks(T* __restrict__ out, const A* __restrict__ sums, int chunks, int C) {
    __shared__ A shared[MERGERS][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;
    sums += (size_t)blockIdx.y * chunks * C;

    A sum = 0;
    if (c < C)
        for (int j = k; j < chunks; j += MERGERS) sum += sums[(size_t)j * C + c];
    shared[k][lane] = sum;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < MERGERS; other++) sum += shared[other][lane];
        out[(size_t)blockIdx.y * C + c] = T(sum);
    }
}

// y (rows, O) += b, a bias. Four neighbours of a row are one load, one addition each, and one store.
extern "C" __global__ void add_bias(T* __restrict__ y, const T* __restrict__ bias, int rows, int O) {
    int o = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (o >= O) return;
    A b[4];
    for (int i = 0; i < 4; i++) b[i] = o + i < O ? A(bias[o + i]) : A(0);
    for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
        T* at = y + (size_t)row * O + o;
        if (O % 4 == 0) {
            Four four = load(at);
            for (int i = 0; i < 4; i++) four.value[i] = T(A(four.value[i]) + b[i]);
            store(at, four);
        } else {
            for (int i = 0; i < 4 && o + i < O; i++) at[i] = T(A(at[i]) + b[i]);
        }
    }
}
