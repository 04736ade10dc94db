// A number of 16 bits in memory, a float wherever it is computed with. The two instructions are the GPU's own. CUDA's
// cuda_fp16.h would do the same, but belongs to the toolkit, and kernels are compiled where there is only the compiler.
#ifdef __CUDACC__
struct half {
    unsigned short bits;
    __device__ half() {}
    __device__ half(float value) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value)); }
    __device__ operator float() const {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
    }
};
#else
typedef _Float16 half;  // on the CPU, where the tests run kernels
#endif
