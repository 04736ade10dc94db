// RMSNorm. One warp for each row of C numbers, as in layernorm.cu: thread i of the warp has the numbers i, i + 32, i + 64, …
// The numbers in brackets are those of mvnp/layers/rmsnorm.py.

// (1). rstd is kept for the backward.
extern "C" __global__ void rmsnorm_forward(const T* x, const A* weight, T* y, A* rstd, int rows, int C, A eps) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;  // a whole warp at once: nobody is left waiting in warp_sum
    x += (size_t)row * C;
    y += (size_t)row * C;

    A squares = 0;
    for (int c = lane; c < C; c += WARP) squares += A(x[c]) * A(x[c]);
    A r = 1 / sqrt(warp_sum(squares) / C + eps);

    for (int c = lane; c < C; c += WARP) y[c] = T(A(x[c]) * r * weight[c]);
    if (lane == 0) rstd[row] = r;
}

// dx of (2), in the same way.
extern "C" __global__ void rmsnorm_backward(const T* dy, const T* x, const A* weight, const A* rstd, T* dx, int rows, int C) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;
    dy += (size_t)row * C;
    x += (size_t)row * C;
    dx += (size_t)row * C;
    A r = rstd[row];

    A sum_gx = 0;
    for (int c = lane; c < C; c += WARP) sum_gx += A(dy[c]) * weight[c] * A(x[c]) * r;
    A mean_gx = warp_sum(sum_gx) / C;

    for (int c = lane; c < C; c += WARP) dx[c] = T(r * (A(dy[c]) * weight[c] - A(x[c]) * r * mean_gx));
}

// The sum of (3) over some of the rows: block (i, j) has 32 channels, from 32 i, and every gridDim.y-th group of rows, from the
// j-th. dweight is (gridDim.y, C): the sum over their rows is left to the caller, in a fixed order.
#define GROUP 8

extern "C" __global__ void rmsnorm_weight(const T* dy, const T* x, const A* rstd, A* dweight, int rows, int C) {
    __shared__ A sums[GROUP][WARP];
    int lane = threadIdx.x, k = threadIdx.y, c = blockIdx.x * WARP + lane;

    A sum = 0;
    if (c < C)
        for (int row = blockIdx.y * GROUP + k; row < rows; row += gridDim.y * GROUP)
            sum += A(dy[(size_t)row * C + c]) * A(x[(size_t)row * C + c]) * rstd[row];
    sums[k][lane] = sum;
    __syncthreads();

    if (k == 0 && c < C) {
        for (int other = 1; other < GROUP; other++) sum += sums[other][lane];
        dweight[(size_t)blockIdx.y * C + c] = sum;
    }
}
