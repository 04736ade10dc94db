// A CUDA driver and runtime that count and compute nothing. The functions that begin with rt_ take the place of the runtime's inside
// CuPy's extension modules (see __init__.py); the others are the driver's, which CuPy finds in libcuda.so.1. Memory of the device is
// memory of the host, mapped and never touched but by small copies, so that hundreds of gigabytes can be asked for.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define DO_NOTHING(name) \
    int name() { return 0; }
#define ADD(counter, n) __sync_fetch_and_add(&counter, n)

// What is counted, in the order of FIELDS of __init__.py.
enum { LAUNCHES, PRODUCTS, UPLOADS, UPLOADED, READS, READ, COPIES, WAITS, ALLOCATIONS, FILLS, PINNED, REFUSED, TF32, FIELDS };
static long counts[FIELDS];
static int devices = 1;
static __thread int device;

typedef struct { char name[200]; void *module; long launches, threads; } Function;
typedef struct { void *stream; int device; long launches; } Place;
static Function *functions[8192];
static Place places[64];
static int function_count, place_count;
static long cub_launches;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void stub_devices(int n) { devices = n; }
void stub_counts(long *out) { memcpy(out, counts, sizeof counts); }
int stub_functions(void) { return function_count; }
const char *stub_name(int i) { return functions[i]->name; }
long stub_launches(int i) { return functions[i]->launches; }
long stub_threads(int i) { return functions[i]->threads; }
long stub_cub(void) { return cub_launches; }
int stub_places(void) { return place_count; }
void stub_place(int i, long *out) { out[0] = (long)places[i].stream, out[1] = places[i].device, out[2] = places[i].launches; }
void stub_reset(void) {
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < function_count; i++) functions[i]->launches = functions[i]->threads = 0;
    cub_launches = place_count = 0;
}

// Notes where something is queued.
static void note(void *stream) {
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < place_count && (places[i].stream != stream || places[i].device != device)) i++;
    if (i == place_count && i < 64) places[place_count++] = (Place){stream, device, 0};
    if (i < 64) places[i].launches++;
    pthread_mutex_unlock(&lock);
}

// For cublas.c, whose products are queued in the stream that was set last.
void stub_tf32(void) { ADD(counts[TF32], 1); }
void stub_product(void *stream) { ADD(counts[PRODUCTS], 1), note(stream); }

// ---------------------------------------------------------------- the runtime

int rt_zero() { return 0; }
int rt_cudaGetDeviceCount(int *n) { *n = devices; return 0; }
int rt_cudaGetDevice(int *d) { *d = device; return 0; }
int rt_cudaSetDevice(int d) { device = d; return 0; }
int rt_cudaRuntimeGetVersion(int *v) { *v = 13000; return 0; }
int rt_cudaDriverGetVersion(int *v) { *v = 13000; return 0; }
const char *rt_cudaGetErrorName(int e) { return "none"; }
const char *rt_cudaGetErrorString(int e) { return "none"; }
int rt_cudaGetDeviceProperties(char *p, int d) { memset(p, 0, 256); strcpy(p, "a GPU that counts"); return 0; }
int rt_cudaDeviceGetAttribute(int *v, int attribute, int d) {
    static const struct { int attribute, value; } known[] = {  // those of an H200
        {75, 9}, {76, 0}, {16, 132}, {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535}, {8, 49152},
        {10, 32}, {12, 65536}, {39, 2048}, {81, 233472}, {82, 65536}, {97, 232448}, {106, 32}, {38, 50 << 20}};
    *v = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].attribute == attribute) *v = known[i].value;
    return 0;
}

int rt_cudaMalloc(void **p, size_t n) {
    ADD(counts[ALLOCATIONS], 1);
    void *q = mmap(0, n ? n : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (q == MAP_FAILED) return 2;
    *p = q;
    return 0;
}
int rt_cudaMemGetInfo(size_t *free, size_t *total) { *free = 139ull << 30, *total = 141ull << 30; return 0; }

static int copied(void *to, const void *from, size_t n, int kind) {
    if (kind == 1) {
        ADD(counts[UPLOADS], 1), ADD(counts[UPLOADED], (long)n);
        if (n <= 1 << 20) memcpy(to, from, n);
    } else if (kind == 2) {  // nothing was computed: what is read is 0, or true
        ADD(counts[READS], 1), ADD(counts[READ], (long)n);
        memset(to, n == 1, n);
    } else ADD(counts[COPIES], 1);
    return 0;
}
int rt_cudaMemcpy(void *to, const void *from, size_t n, int kind) { ADD(counts[WAITS], 1); return copied(to, from, n, kind); }
int rt_cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream) { note(stream); return copied(to, from, n, kind); }
int rt_cudaMemset(void *p, int v, size_t n) { ADD(counts[FILLS], 1); return 0; }
int rt_cudaMemsetAsync(void *p, int v, size_t n, void *stream) { ADD(counts[FILLS], 1); note(stream); return 0; }
int rt_cudaPointerGetAttributes(int *attributes, const void *p) { memset(attributes, 0, 24); return 0; }
int rt_cudaHostAlloc(void **p, size_t n, unsigned flags) { ADD(counts[PINNED], 1); *p = aligned_alloc(4096, (n + 4095) / 4096 * 4096); return 0; }
int rt_cudaFreeHost(void *p) { free(p); return 0; }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}
int rt_cudaEventCreate(void **e) { *e = calloc(1, sizeof(double)); return 0; }
int rt_cudaEventCreateWithFlags(void **e, unsigned flags) { return rt_cudaEventCreate(e); }
int rt_cudaEventDestroy(void *e) { free(e); return 0; }
int rt_cudaEventRecord(double *e, void *stream) { *e = now(); return 0; }
int rt_cudaEventSynchronize(void *e) { ADD(counts[WAITS], 1); return 0; }
int rt_cudaEventElapsedTime(float *ms, double *begin, double *end) { *ms = *end - *begin; return 0; }
int rt_cudaStreamSynchronize(void *s) { ADD(counts[WAITS], 1); return 0; }
int rt_cudaDeviceSynchronize(void) { ADD(counts[WAITS], 1); return 0; }
int rt_cudaStreamCreate(void **s) { *s = malloc(8); return 0; }
int rt_cudaStreamCreateWithFlags(void **s, unsigned flags) { *s = malloc(8); return 0; }
int rt_cudaStreamIsCapturing(void *s, int *x) { *x = 0; return 0; }
int rt_cudaDeviceCanAccessPeer(int *can, int a, int b) { *can = 1; return 0; }

// What CuPy brings compiled, sums above all.
int rt_cudaFuncGetAttributes(int *a, const void *f) { memset(a, 0, 128); a[6] = 1024, a[7] = 32, a[8] = a[9] = 90; return 0; }
int rt_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *f, int b, size_t s, unsigned flags) { *n = 8; return 0; }
int rt_cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, const void *f, int b, size_t s) { *n = 8; return 0; }
int rt_cudaLaunchKernel() { ADD(counts[LAUNCHES], 1), ADD(cub_launches, 1); return 0; }
int rt_cudaLaunchKernelExC() { return rt_cudaLaunchKernel(); }

// ---------------------------------------------------------------- the driver

int cuInit(unsigned flags) { return 100; }
int cuGetErrorName(int e, const char **s) { *s = "none"; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "none"; return 0; }
int cuGetExportTable(void **t, void *id) { *t = 0; return 100; }
int cuCtxGetCurrent(void **c) { *c = (void *)1; return 0; }
int cuCtxCreate_v2(void **c, unsigned flags, int d) { *c = (void *)1; return 0; }
int cuCtxGetDevice(int *d) { *d = device; return 0; }
int cuStreamGetCtx(void *s, void **c) { *c = (void *)1; return 0; }
int cuModuleLoad(void **m, char *file) { *m = malloc(8); return 0; }
int cuModuleLoadData(void **m, void *image) { *m = malloc(8); return 0; }
DO_NOTHING(cuDevicePrimaryCtxRelease_v2) DO_NOTHING(cuCtxSetCurrent) DO_NOTHING(cuCtxDestroy_v2) DO_NOTHING(cuModuleUnload)
DO_NOTHING(cuLinkDestroy) DO_NOTHING(cuFuncSetAttribute)
int cuLinkCreate_v2() { return 1; }
int cuLinkAddData_v2() { return 1; }
int cuLinkAddFile_v2() { return 1; }
int cuLinkComplete() { return 1; }
int cuModuleGetGlobal_v2() { return 1; }
int cuFuncGetAttribute(int *v, int attribute, void *f) { *v = attribute == 0 ? 1024 : attribute == 4 ? 32 : 0; return 0; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *f, int b, size_t s) { *n = 8; return 0; }
int cuOccupancyMaxPotentialBlockSize(int *grid, int *block, void *f, void *g, size_t s, int most) { *grid = 132 * 8, *block = 256; return 0; }
int cuModuleGetFunction(void **f, void *module, const char *name) {
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < function_count && (functions[i]->module != module || strcmp(functions[i]->name, name))) i++;
    if (i == function_count) {
        functions[function_count++] = calloc(1, sizeof(Function));
        strncpy(functions[i]->name, name, sizeof functions[i]->name - 1);
        functions[i]->module = module;
    }
    *f = functions[i];
    pthread_mutex_unlock(&lock);
    return 0;
}
int cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **arguments, void **extra) {
    note(stream);
    ADD(counts[LAUNCHES], 1), ADD(f->launches, 1), ADD(f->threads, (long)gx * gy * gz * bx * by * bz);
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024 || shared > 49152) ADD(counts[REFUSED], 1);
    return 0;
}
int cuLaunchCooperativeKernel() { ADD(counts[LAUNCHES], 1); return 0; }
