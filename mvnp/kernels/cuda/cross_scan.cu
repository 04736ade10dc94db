// Cross-scan and cross-merge along all four routes: a thread for each number of the map. Pixel (h, w) is token h W + w of route 0
// and token w H + h of route 1; on the way back, routes 2 and 3, the last one comes first. The numbers in brackets are those of
// mvnp/layers/cross_scan.py.

// Where the four sequences have number i of the map (B, H, W, C).
struct Places {
    size_t at[4];
};

__device__ inline Places places(unsigned i, int B, int H, int W, int C) {
    int c = i % C, pixel = i / C, w = pixel % W, h = pixel / W % H, b = pixel / W / H;
    int L = H * W, row = h * W + w, column = w * H + h;
    int tokens[4] = {row, column, L - 1 - row, L - 1 - column};
    Places found;
#pragma unroll
    for (int k = 0; k < 4; k++) found.at[k] = (((size_t)k * B + b) * L + tokens[k]) * C + c;
    return found;
}

// (1)
extern "C" __global__ void cross_scan(const T* __restrict__ x, T* __restrict__ s, int B, int H, int W, int C, int count) {
    EACH(i, count) {
        Places to = places(i, B, H, W, C);
#pragma unroll
        for (int k = 0; k < 4; k++) s[to.at[k]] = x[i];
    }
}

// (2)
extern "C" __global__ void cross_merge(const T* __restrict__ y, T* __restrict__ x, int B, int H, int W, int C, int count) {
    EACH(i, count) {
        Places from = places(i, B, H, W, C);
        A sum = y[from.at[0]];
#pragma unroll
        for (int k = 1; k < 4; k++) sum += A(y[from.at[k]]);
        x[i] = T(sum);
    }
}
