// The gate, number by number. The numbers in brackets are those of mvnp/layers/gate.py.

__device__ inline A sigmoid(A v) { return A(0.5) * (1 + tanh(A(0.5) * v)); }

// (1)
extern "C" __global__ void gate_forward(const T* __restrict__ x, const T* __restrict__ z, T* __restrict__ y, int count) {
    map_numbers(x, z, y, count, [](A u, A v) { return u * v * sigmoid(v); });
}

// (2) and (3)
extern "C" __global__ void gate_backward(
    const T* __restrict__ dy, const T* __restrict__ x, const T* __restrict__ z, T* __restrict__ dx, T* __restrict__ dz, int count
) {
    EACH(i, count) {
        A v = z[i], d = dy[i];
        A gate = sigmoid(v);
        dx[i] = T(d * v * gate);
        dz[i] = T(d * A(x[i]) * gate * (1 + v * (1 - gate)));
    }
}
