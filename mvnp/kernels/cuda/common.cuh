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
