// GELU, number by number. The numbers in brackets are those of mvnp/layers/gelu.py.

#define SQRT_HALF A(0.70710678118654752440)
#define DENSITY_AT_0 A(0.39894228040143267794)    // 1/√(2π)
#define SQRT_2_OVER_PI A(0.79788456080286535588)
#define CUBIC A(0.044715)
#define FAR A(100)  // where tanh u has long been ±1, and no power overflows

__device__ inline A gelu(A v) { return A(0.5) * v * (1 + erf(v * SQRT_HALF)); }

// (1)
extern "C" __global__ void gelu_forward(const T* __restrict__ x, T* __restrict__ y, int count) {
    map_numbers(x, y, count, [](A v) { return gelu(v); });
}

// (1) behind the bias b (C,) of the linear layer before it, which x (rows, C) gets in place.
extern "C" __global__ void bias_gelu_forward(T* __restrict__ x, const T* __restrict__ b, T* __restrict__ y, int rows, int C) {
    int c = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (c >= C) return;
    bool fours = C % 4 == 0 && aligned(x) && aligned(y);
    A offset[4];
    for (int j = 0; j < 4; j++) offset[j] = c + j < C ? A(b[c + j]) : A(0);
    for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
        size_t at = (size_t)row * C + c;
        Four in = {}, out = {};
        if (fours) in = load(x + at);
        else for (int j = 0; j < 4 && c + j < C; j++) in.value[j] = x[at + j];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            A v = A(in.value[j]) + offset[j];
            in.value[j] = T(v);
            out.value[j] = T(gelu(v));
        }
        if (fours) store(x + at, in), store(y + at, out);
        else for (int j = 0; j < 4 && c + j < C; j++) x[at + j] = in.value[j], y[at + j] = out.value[j];
    }
}

// (2)
extern "C" __global__ void gelu_backward(const T* __restrict__ dy, const T* __restrict__ x, T* __restrict__ dx, int count) {
    map_numbers(dy, x, dx, count, [](A d, A v) {
        A density = DENSITY_AT_0 * exp(A(-0.5) * v * v);
        return d * (A(0.5) * (1 + erf(v * SQRT_HALF)) + v * density);
    });
}

__device__ inline A clipped(A v) { return v > FAR ? FAR : v < -FAR ? -FAR : v; }  // NaN stays

__device__ inline A tanh_u(A v) { return tanh(SQRT_2_OVER_PI * (v + CUBIC * v * v * v)); }

// (3)
extern "C" __global__ void gelu_tanh_forward(const T* __restrict__ x, T* __restrict__ y, int count) {
    map_numbers(x, y, count, [](A v) { return A(0.5) * v * (1 + tanh_u(clipped(v))); });
}

// (4)
extern "C" __global__ void gelu_tanh_backward(const T* __restrict__ dy, const T* __restrict__ x, T* __restrict__ dx, int count) {
    map_numbers(dy, x, dx, count, [](A d, A value) {
        A v = clipped(value);
        A t = tanh_u(v);
        A slope = SQRT_2_OVER_PI * (1 + 3 * CUBIC * v * v);
        return d * A(0.5) * (1 + t + v * (1 - t * t) * slope);
    });
}
