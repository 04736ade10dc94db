// BatchNorm folded into a convolution. The number in brackets is that of mvnp/models/folding.py.

// (1): kernel (taps, I, O), the matrix that patches are multiplied by, and bias (O,), from w (O, I, taps) and b (O,). has_b:
// whether there is a b.
extern "C" __global__ void fold(
    const T* __restrict__ w, const T* __restrict__ b, const T* __restrict__ weight, const T* __restrict__ bias, const T*
    __restrict__ mean, const T* __restrict__ variance, T* __restrict__ kernel, T* __restrict__ shift, int O, int I, int taps,
    int has_b, A eps, int count
) {
    EACH(i, count) {
        unsigned o = i % O, row = i / O, c = row % I, tap = row / I;
        A scale = A(weight[o]) / sqrt(A(variance[o]) + eps);
        kernel[i] = T(A(w[((size_t)o * I + c) * taps + tap]) * scale);
        if (row == 0) shift[o] = T(A(bias[o]) - A(mean[o]) * scale + (has_b ? A(b[o]) * scale : A(0)));
    }
}
