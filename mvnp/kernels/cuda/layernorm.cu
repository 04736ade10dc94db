// LayerNorm. One warp for each row of C numbers: thread i of the warp has the numbers i, i + 32, i + 64, …, so that the warp
// reads neighbours together, and the means over a row need no more than an exchange within the warp. A row is read more than
// once; after the first time it comes from the cache.

// (1) of mvnp/layers/layernorm.py. mean and rstd are kept for the backward.
extern "C" __global__ void layernorm_forward(
    const T* x, const A* weight, const A* bias, T* y, A* mean, A* rstd, int rows, int C, A eps
) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;  // a whole warp at once: nobody is left waiting in warp_sum
    x += (size_t)row * C;
    y += (size_t)row * C;

    A sum = 0;
    for (int c = lane; c < C; c += WARP) sum += A(x[c]);
    A mu = warp_sum(sum) / C;

    A squares = 0;
    for (int c = lane; c < C; c += WARP) {
        A centred = A(x[c]) - mu;
        squares += centred * centred;
    }
    A r = 1 / sqrt(warp_sum(squares) / C + eps);

    for (int c = lane; c < C; c += WARP) y[c] = T((A(x[c]) - mu) * r * weight[c] + bias[c]);
    if (lane == 0) {
        mean[row] = mu;
        rstd[row] = r;
    }
}

// (1) of the sum of a residual, x + branch, which is kept too: it is what the next branch is added to.
extern "C" __global__ void add_layernorm_forward(
    const T* __restrict__ x, const T* __restrict__ branch, const A* __restrict__ weight, const A* __restrict__ bias, T* __restrict__ total,
    T* __restrict__ y, A* __restrict__ mean, A* __restrict__ rstd, int rows, int C, A eps
) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;
    size_t at = (size_t)row * C;

    A sum = 0;
    for (int c = lane; c < C; c += WARP) {
        T both = T(A(x[at + c]) + A(branch[at + c]));
        total[at + c] = both;
        sum += A(both);
    }
    A mu = warp_sum(sum) / C;

    A squares = 0;  // what a thread reads from here on it has written itself
    for (int c = lane; c < C; c += WARP) {
        A centred = A(total[at + c]) - mu;
        squares += centred * centred;
    }
    A r = 1 / sqrt(warp_sum(squares) / C + eps);

    for (int c = lane; c < C; c += WARP) y[at + c] = T((A(total[at + c]) - mu) * r * weight[c] + bias[c]);
    if (lane == 0) {
        mean[row] = mu;
        rstd[row] = r;
    }
}

// dx of (2), in the same way.
extern "C" __global__ void layernorm_backward(
    const T* dy, const T* x, const A* weight, const A* mean, const A* rstd, T* dx, int rows, int C
) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;
    dy += (size_t)row * C;
    x += (size_t)row * C;
    dx += (size_t)row * C;
    A mu = mean[row], r = rstd[row];

    A sum_g = 0, sum_gx = 0;
    for (int c = lane; c < C; c += WARP) {
        A g = A(dy[c]) * weight[c];
        sum_g += g;
        sum_gx += g * (A(x[c]) - mu) * r;
    }
    A mean_g = warp_sum(sum_g) / C;
    A mean_gx = warp_sum(sum_gx) / C;

    for (int c = lane; c < C; c += WARP) {
        A normalised = (A(x[c]) - mu) * r;
        dx[c] = T(r * (A(dy[c]) * weight[c] - mean_g - normalised * mean_gx));
    }
}

// The sums of (3) over some of the rows: block (i, j) has 32 channels, from 32 i, and every gridDim.y-th group of rows, from
// the j-th. Thread (lane, k) adds up the rows k of its groups for its channel; at the end the threads of a channel add up what
// they have. dweight and dbias are (gridDim.y, C): the sum over their rows is left to the caller. Without atomic
// additions, the order of all sums is fixed, and a second run gives the same bits.
#define GROUP 8

extern "C" __global__ void layernorm_parameters(
    const T* dy, const T* x, const A* mean, const A* rstd, A* dweight, A* dbias, int rows, int C
) {
    __shared__ A weight_sums[GROUP][WARP], bias_sums[GROUP][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;

    A of_weight = 0, of_bias = 0;
    if (c < C)
        for (int row = blockIdx.y * GROUP + k; row < rows; row += gridDim.y * GROUP) {
            A d = A(dy[(size_t)row * C + c]);
            of_weight += d * (A(x[(size_t)row * C + c]) - mean[row]) * rstd[row];
            of_bias += d;
        }
    weight_sums[k][lane] = of_weight;
    bias_sums[k][lane] = of_bias;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < GROUP; other++) {
            of_weight += weight_sums[other][lane];
            of_bias += bias_sums[other][lane];
        }
        dweight[(size_t)blockIdx.y * C + c] = of_weight;
        dbias[(size_t)blockIdx.y * C + c] = of_bias;
    }
}
