// Softplus, number by number. The numbers in brackets are those of mvnp/layers/softplus.py.

// (1). Written with a comparison and not with max: that of a NaN and 0 would be 0.
extern "C" __global__ void softplus_forward(const T* x, T* y, int count) {
    EACH(i, count) {
        A v = x[i];
        y[i] = T((v < 0 ? 0 : v) + log1p(exp(v < 0 ? v : -v)));
    }
}

// (2), from y.
extern "C" __global__ void softplus_backward(const T* dy, const T* y, T* dx, int count) {
    EACH(i, count) dx[i] = T(A(dy[i]) * -expm1(-A(y[i])));
}
