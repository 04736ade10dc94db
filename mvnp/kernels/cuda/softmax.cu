// Softmax. One warp for each row of C numbers, as in layernorm.cu. The numbers in brackets are those of
// mvnp/layers/softmax.py.

// The largest of a row.
__device__ inline A row_max(const T* x, int lane, int C) {
    A largest = A(x[0]);
    for (int c = lane; c < C; c += WARP) largest = max(largest, A(x[c]));
    return warp_max(largest);
}

// (1). The exponentials are worked out twice: keeping them would take memory, which is slower.
extern "C" __global__ void softmax_forward(const T* x, T* y, int rows, int C) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;  // a whole warp at once; where all of a row is −∞, −∞ − (−∞) makes it NaN
    x += (size_t)row * C;
    y += (size_t)row * C;

    A largest = row_max(x, lane, C), sum = 0;
    for (int c = lane; c < C; c += WARP) sum += exp(A(x[c]) - largest);
    sum = warp_sum(sum);
    for (int c = lane; c < C; c += WARP) y[c] = T(exp(A(x[c]) - largest) / sum);
}

// (2)
extern "C" __global__ void softmax_backward(const T* dy, const T* y, T* dx, int rows, int C) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;
    dy += (size_t)row * C;
    y += (size_t)row * C;
    dx += (size_t)row * C;

    A sum = 0;
    for (int c = lane; c < C; c += WARP) sum += A(dy[c]) * A(y[c]);
    sum = warp_sum(sum);
    for (int c = lane; c < C; c += WARP) dx[c] = T(A(y[c]) * (A(dy[c]) - sum));
}
