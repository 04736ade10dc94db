// SiLU, number by number. The numbers in brackets are those of mvnp/layers/silu.py.

__device__ inline A sigmoid(A v) { return A(0.5) * (1 + tanh(A(0.5) * v)); }

// (1)
extern "C" __global__ void silu_forward(const T* __restrict__ x, T* __restrict__ y, int count) {
    map_numbers(x, y, count, [](A v) { return v * sigmoid(v); });
}

// (2)
extern "C" __global__ void silu_backward(const T* __restrict__ dy, const T* __restrict__ x, T* __restrict__ dx, int count) {
    map_numbers(dy, x, dx, count, [](A d, A v) {
        A gate = sigmoid(v);
        return d * gate * (1 + v * (1 - gate));
    });
}
