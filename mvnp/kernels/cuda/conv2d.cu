// The two copies around the products of a convolution. The numbers in brackets are those of mvnp/layers/conv2d.py.
//
// Sizes: x (n, H, W, I), of which some rows of output pixels, from `first`, (n, Ho, Wo), see patches of Kh x Kw. A block has a
// row of pixels, so that it divides once and its threads do not: threadIdx.y goes along the row, and threadIdx.x along numbers
// that are neighbours in memory, four at a time where the channels are so many.

// The sizes of the kernel and the strides, where they are constants to the compiler; else 0, and the parameters count.
#ifndef KERNEL_H
#define KERNEL_H 0
#define KERNEL_W 0
#define STRIDE_H 0
#define STRIDE_W 0
#endif
#ifndef STEP
#define STEP 1  // numbers that a thread takes at once: 1 or 4
#endif
#define SIZES \
    const int Kh = KERNEL_H ? KERNEL_H : kernel_h, Kw = KERNEL_W ? KERNEL_W : kernel_w; \
    const int sh = STRIDE_H ? STRIDE_H : stride_h, sw = STRIDE_W ? STRIDE_W : stride_w

// STEP neighbours.
struct alignas(STEP == 4 ? alignof(Four) : alignof(T)) Some { T value[STEP]; };

__device__ inline Some load_some(const T* from) { return *reinterpret_cast<const Some*>(from); }
__device__ inline void store_some(T* to, const Some& some) { *reinterpret_cast<Some*>(to) = some; }

// X of (2). What a patch sees of a row of the image lies in X as it does in the image, Kw · I numbers: a copy, with zeros
// where the image has ended.
extern "C" __global__ void im2col(
    const T* __restrict__ x, T* __restrict__ X, int H, int W, int I, int Ho, int Wo, int kernel_h, int kernel_w, int stride_h,
    int stride_w, int pad_h, int pad_w, int first
) {
    SIZES;
    int h = blockIdx.x % Ho, length = Kw * I;
    size_t n = blockIdx.x / Ho;
    T* row_of_X = X + (size_t)blockIdx.x * Wo * Kh * length;
    for (int w = threadIdx.y; w < Wo; w += blockDim.y) {
        int column = w * sw - pad_w;
        int begin = max(0, -column) * I, end = min(Kw, W - column) * I;  // of the numbers that are inside
        for (int a = 0; a < Kh; a++) {
            int row = (first + h) * sh + a - pad_h;
            bool inside = row >= 0 && row < H;
            const T* from = x + (((long long)n * H + row) * W + column) * I;
            T* to = row_of_X + ((size_t)w * Kh + a) * length;
#pragma unroll 2
            for (int k = threadIdx.x * STEP; k < length; k += blockDim.x * STEP) {
                Some some = {};
                if (inside && k >= begin && k < end) some = load_some(from + k);
                store_some(to + k, some);
            }
        }
    }
}

// The way back: the padded image's rows from `top`, (n, height, width, I), are added to by every patch that they lie in. Each
// thread collects for its own numbers, so no two of them write to the same.
extern "C" __global__ void col2im(
    const T* __restrict__ dX, T* __restrict__ dpadded, int height, int padded_height, int width, int I, int Ho, int Wo, int kernel_h,
    int kernel_w, int stride_h, int stride_w, int top
) {
    SIZES;
    int row = blockIdx.x % height;
    size_t n = blockIdx.x / height;
    T* row_of_image = dpadded + (n * padded_height + top + row) * width * I;
    for (int column = threadIdx.y; column < width; column += blockDim.y) {
        for (int c = threadIdx.x * STEP; c < I; c += blockDim.x * STEP) {
            T* target = row_of_image + (size_t)column * I + c;
            Some some = load_some(target);
            A sum[STEP] = {};
#pragma unroll
            for (int a = 0; a < Kh; a++) {
                int h = (row - a) / sh;
                if (row < a || h * sh != row - a || h >= Ho) continue;  // no patch has this pixel in its row a
                const T* row_of_dX = dX + ((n * Ho + h) * Wo * Kh + a) * Kw * I + c;
#pragma unroll
                for (int b = 0; b < Kw; b++) {
                    int w = (column - b) / sw;
                    if (column < b || w * sw != column - b || w >= Wo) continue;
                    Some part = load_some(row_of_dX + (w * Kh * Kw + b) * I);
                    for (int j = 0; j < STEP; j++) sum[j] += A(part.value[j]);
                }
            }
            for (int j = 0; j < STEP; j++) some.value[j] = T(A(some.value[j]) + sum[j]);
            store_some(target, some);
        }
    }
}
