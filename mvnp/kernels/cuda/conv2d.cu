// The two copies around the products of a convolution. The numbers in brackets are those of mvnp/layers/conv2d.py.
//
// Sizes: x (n, H, W, I), of which some rows of output pixels, from `first`, (n, Ho, Wo), see patches of Kh x Kw.

// X of (2): number i of it is channel c, in column b and row a of the patch that output pixel (h, w) of sample n sees.
// Neighbours are channels of a pixel, and both copies run along them.
extern "C" __global__ void im2col(
    const T* x, T* X, int H, int W, int I, int Ho, int Wo, int Kh, int Kw,
    int stride_h, int stride_w, int pad_h, int pad_w, int first, int count
) {
    EACH(i, count) {
        unsigned rest = i;
        int c = rest % I; rest /= I;
        int b = rest % Kw; rest /= Kw;
        int a = rest % Kh; rest /= Kh;
        int w = rest % Wo; rest /= Wo;
        int h = rest % Ho;
        size_t n = rest / Ho;
        int row = (first + h) * stride_h + a - pad_h;
        int column = w * stride_w + b - pad_w;
        bool inside = row >= 0 && row < H && column >= 0 && column < W;
        X[i] = inside ? x[((n * H + row) * W + column) * I + c] : T(0);
    }
}

// The way back: number i of the padded image's rows from `top`, (n, height, width, I), is added to by every patch that it lies
// in. Each thread collects for one number, so no two of them write to the same.
extern "C" __global__ void col2im(
    const T* dX, T* dpadded, int height, int padded_height, int width, int I, int Ho, int Wo, int Kh, int Kw,
    int stride_h, int stride_w, int top, int count
) {
    EACH(i, count) {
        unsigned rest = i;
        int c = rest % I; rest /= I;
        int column = rest % width; rest /= width;
        int row = rest % height;
        size_t n = rest / height;
        A sum = 0;
        for (int a = 0; a < Kh; a++) {
            int h = (row - a) / stride_h;
            if (row < a || h * stride_h != row - a || h >= Ho) continue;  // no patch has this pixel in its row a
            for (int b = 0; b < Kw; b++) {
                int w = (column - b) / stride_w;
                if (column < b || w * stride_w != column - b || w >= Wo) continue;
                sum += A(dX[((((n * Ho + h) * Wo + w) * Kh + a) * Kw + b) * I + c]);
            }
        }
        T& target = dpadded[((n * padded_height + top + row) * width + column) * I + c];
        target = T(A(target) + sum);
    }
}
