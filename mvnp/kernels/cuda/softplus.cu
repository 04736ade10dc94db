// Softplus, number by number. The numbers in brackets are those of mvnp/layers/softplus.py.

// (1). Written with a comparison and not with max: that of a NaN and 0 would be 0.
extern "C" __global__ void softplus_forward(const T* __restrict__ x, T* __restrict__ y, int count) {
    map_numbers(x, y, count, [](A v) { return (v < 0 ? A(0) : v) + log1p(exp(v < 0 ? v : -v)); });
}

// (2), from y.
extern "C" __global__ void softplus_backward(const T* __restrict__ dy, const T* __restrict__ y, T* __restrict__ dx, int count) {
    map_numbers(dy, y, dx, count, [](A d, A v) { return d * -expm1(-v); });
}
