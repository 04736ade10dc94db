// GELU, number by number. The numbers in brackets are those of mvnp/layers/gelu.py.

#define SQRT_HALF A(0.70710678118654752440)
#define DENSITY_AT_0 A(0.39894228040143267794)    // 1/√(2π)
#define SQRT_2_OVER_PI A(0.79788456080286535588)
#define CUBIC A(0.044715)
#define FAR A(100)  // where tanh u has long been ±1, and no power overflows

// (1)
extern "C" __global__ void gelu_forward(const T* x, T* y, int count) {
    EACH(i, count) {
        A v = x[i];
        y[i] = T(A(0.5) * v * (1 + erf(v * SQRT_HALF)));
    }
}

// (2)
extern "C" __global__ void gelu_backward(const T* dy, const T* x, T* dx, int count) {
    EACH(i, count) {
        A v = x[i];
        A density = DENSITY_AT_0 * exp(A(-0.5) * v * v);
        dx[i] = T(A(dy[i]) * (A(0.5) * (1 + erf(v * SQRT_HALF)) + v * density));
    }
}

__device__ inline A clipped(A v) { return v > FAR ? FAR : v < -FAR ? -FAR : v; }  // NaN stays

__device__ inline A tanh_u(A v) { return tanh(SQRT_2_OVER_PI * (v + CUBIC * v * v * v)); }

// (3)
extern "C" __global__ void gelu_tanh_forward(const T* x, T* y, int count) {
    EACH(i, count) {
        A v = x[i];
        y[i] = T(A(0.5) * v * (1 + tanh_u(clipped(v))));
    }
}

// (4)
extern "C" __global__ void gelu_tanh_backward(const T* dy, const T* x, T* dx, int count) {
    EACH(i, count) {
        A v = clipped(A(x[i]));
        A t = tanh_u(v);
        A slope = SQRT_2_OVER_PI * (1 + 3 * CUBIC * v * v);
        dx[i] = T(A(dy[i]) * A(0.5) * (1 + t + v * (1 - t * t) * slope));
    }
}
