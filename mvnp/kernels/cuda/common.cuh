// What several kernels share. T is the type of numbers in memory, A that of arithmetic; see launch.py.

// Does what follows for i = 0 … count − 1, shared out over all threads of the launch: neighbours take neighbouring numbers, so
// that a warp reads them together, and when all have one they go on by as many as there are threads.
#define EACH(i, count) \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < unsigned(count); i += gridDim.x * blockDim.x)

// Four neighbouring numbers, which a thread loads and stores at once. Their address has to be a multiple of their size, as
// that of an array is, and of each row whose length is a multiple of four.
struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Four { T value[4]; };

__device__ inline Four load(const T* from) { return *reinterpret_cast<const Four*>(from); }
__device__ inline void store(T* to, const Four& four) { *reinterpret_cast<Four*>(to) = four; }

__device__ inline bool aligned(const void* address) { return (size_t)address % alignof(Four) == 0; }

// y = f(x), or f(x, z), number by number: four at a time, whose loads are under way together, and one at a time what is left
// over, or what does not begin where a load of four may (a view does not).
template <class F> __device__ inline void map_numbers(const T* __restrict__ x, T* __restrict__ y, int count, F f) {
    unsigned thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    unsigned fours = aligned(x) && aligned(y) ? unsigned(count) / 4 : 0;
    for (unsigned i = thread; i < fours; i += threads) {
        Four four = load(x + 4 * (size_t)i);
#pragma unroll
        for (int j = 0; j < 4; j++) four.value[j] = T(f(A(four.value[j])));
        store(y + 4 * (size_t)i, four);
    }
    for (unsigned i = 4 * fours + thread; i < unsigned(count); i += threads) y[i] = T(f(A(x[i])));
}

template <class F>
__device__ inline void map_numbers(const T* __restrict__ x, const T* __restrict__ z, T* __restrict__ y, int count, F f) {
    unsigned thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    unsigned fours = aligned(x) && aligned(z) && aligned(y) ? unsigned(count) / 4 : 0;
    for (unsigned i = thread; i < fours; i += threads) {
        Four four = load(x + 4 * (size_t)i), other = load(z + 4 * (size_t)i);
#pragma unroll
        for (int j = 0; j < 4; j++) four.value[j] = T(f(A(four.value[j]), A(other.value[j])));
        store(y + 4 * (size_t)i, four);
    }
    for (unsigned i = 4 * fours + thread; i < unsigned(count); i += threads) y[i] = T(f(A(x[i]), A(z[i])));
}

#define WARP 32
#define WHOLE_WARP 0xffffffffu

// The sum, or the maximum, over the 32 threads of a warp; each of them gets it. All of them have to call it.
__device__ inline A warp_sum(A value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(WHOLE_WARP, value, distance);
    return value;
}

__device__ inline A warp_max(A value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = max(value, __shfl_xor_sync(WHOLE_WARP, value, distance));
    return value;
}

// Shared memory whose size the launch says: an array `name` of `type`. On the CPU the tests bring their own.
#ifdef __CUDACC__
#define DYNAMIC_SHARED(type, name) \
    extern __shared__ __align__(16) char dynamic_memory[]; \
    type* name = reinterpret_cast<type*>(dynamic_memory)
#endif
