// SiLU, number by number. The numbers in brackets are those of mvnp/layers/silu.py.

__device__ inline A sigmoid(A v) { return A(0.5) * (1 + tanh(A(0.5) * v)); }

// (1)
extern "C" __global__ void silu_forward(const T* x, T* y, int count) {
    EACH(i, count) {
        A v = x[i];
        y[i] = T(v * sigmoid(v));
    }
}

// (2)
extern "C" __global__ void silu_backward(const T* dy, const T* x, T* dx, int count) {
    EACH(i, count) {
        A v = x[i];
        A gate = sigmoid(v);
        dx[i] = T(A(dy[i]) * gate * (1 + v * (1 - gate)));
    }
}
