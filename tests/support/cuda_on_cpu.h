// Runs kernels written in CUDA C++ on a CPU, block after block. This file stands in front of a kernel's text, which the C++
// compiler then takes as it is; cuda_on_cpu.py compiles it and calls `launch`.
//
// The threads of a block are fibers: one of them runs until it comes to a barrier or a shuffle, then the next. So each run is
// the same, and a missing barrier shows, since whoever needed it reads what has not been written yet. In which order the warps,
// and the threads of a warp, come is chosen by the caller: what one order hides the other shows.
//
// What a GPU leaves undefined is an error here: a barrier that not all threads of the block reach, a shuffle that not all
// threads of the warp reach. Shared memory is full of NaN before each block. Not shown: how fast a kernel is, races between
// blocks, and what depends on 32 threads taking a step at once without a barrier between.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <type_traits>
#include <ucontext.h>
#include <utility>

#ifdef SANITIZED
#include <sanitizer/common_interface_defs.h>
#define __shared__ static  // each with a zone around it that the sanitizer guards
#else
#define __shared__ static __attribute__((section("shared_memory")))
extern "C" __attribute__((weak, visibility("hidden"))) char __start_shared_memory[], __stop_shared_memory[];
#endif
#define __global__
#define __device__
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct dim3 { unsigned x = 1, y = 1, z = 1; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline float rsqrt(float a) { return 1 / sqrtf(a); }
static inline double rsqrt(double a) { return 1 / sqrt(a); }

namespace cpu {

enum State { READY, AT_WARP_BARRIER, AT_BLOCK_BARRIER, RETURNED };
const int MOST_THREADS = 1024, LANES = 32;
const size_t STACK = 64 << 10;

struct Thread {
    ucontext_t context;
    dim3 index;
    State state;
    void *fake_stack;     // the sanitizer's
    uint64_t offered[2];  // what it gives in a shuffle; two, so that one can be written while the last is still read
    int turn;
};

struct Argument {
    void *data;         // of an array, or of a scalar
    int32_t is_array;
    int32_t item_size;  // of one number
};

static Thread threads[MOST_THREADS];
static char *stacks;
static int count, current, reversed;
static ucontext_t scheduler;
static void (*body)(Argument *);
static Argument *body_arguments;
static char *dynamic_memory;
static const char *problem;  // what stops the launch; NULL while all is well

// The sanitizer wants to know of every change from one stack to another, before it and after.
static const void *scheduler_stack;
static size_t scheduler_stack_size;
static void *scheduler_fake;
#ifdef SANITIZED
static void leaving(void **fake, const void *bottom, size_t size) { __sanitizer_start_switch_fiber(fake, bottom, size); }
static void arrived(void *fake, const void **bottom, size_t *size) { __sanitizer_finish_switch_fiber(fake, bottom, size); }
#else
static void leaving(void **, const void *, size_t) {}
static void arrived(void *, const void **, size_t *) {}
#endif

static void begin() {
    arrived(nullptr, &scheduler_stack, &scheduler_stack_size);
    body(body_arguments);
    Thread &me = threads[current];
    me.state = RETURNED;
    leaving(nullptr, scheduler_stack, scheduler_stack_size);
    swapcontext(&me.context, &scheduler);
}

static void resume(int number) {
    current = number;
    threadIdx = threads[number].index;
    threads[number].state = READY;
    leaving(&scheduler_fake, stacks + number * STACK, STACK);
    swapcontext(&scheduler, &threads[number].context);
    arrived(scheduler_fake, nullptr, nullptr);
}

static void wait(State at) {
    Thread &me = threads[current];
    me.state = at;
    leaving(&me.fake_stack, scheduler_stack, scheduler_stack_size);
    swapcontext(&me.context, &scheduler);
    arrived(me.fake_stack, &scheduler_stack, &scheduler_stack_size);
}

// The threads first … last − 1 of a warp, until all of them are at a barrier of the block or have returned.
static void run_warp(int first, int last) {
    for (;;) {
        for (int i = first; i < last; i++) {
            int number = reversed ? first + last - 1 - i : i;
            if (threads[number].state == READY) resume(number);
        }
        int waiting = 0;
        for (int i = first; i < last; i++) waiting += threads[i].state == AT_WARP_BARRIER;
        if (!waiting) return;
        if (waiting < last - first) {
            problem = "some threads of a warp wait in a shuffle or at __syncwarp, the others do not come";
            return;
        }
        for (int i = first; i < last; i++) threads[i].state = READY;
    }
}

static void run_block() {
    for (int i = 0; i < count; i++) {
        Thread &t = threads[i];
        t.index.x = i % blockDim.x;
        t.index.y = i / blockDim.x % blockDim.y;
        t.index.z = i / blockDim.x / blockDim.y;
        t.state = READY;
        t.turn = 0;
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = stacks + i * STACK;
        t.context.uc_stack.ss_size = STACK;
        t.context.uc_link = nullptr;
        makecontext(&t.context, begin, 0);
    }
    int warps = (count + LANES - 1) / LANES;
    while (!problem) {
        for (int i = 0; i < warps && !problem; i++) {
            int first = LANES * (reversed ? warps - 1 - i : i);
            run_warp(first, first + LANES < count ? first + LANES : count);
        }
        int waiting = 0;
        for (int i = 0; i < count; i++) waiting += threads[i].state == AT_BLOCK_BARRIER;
        if (!waiting) return;
        if (waiting < count && !problem) problem = "some threads of a block wait at __syncthreads, the others have returned";
        for (int i = 0; i < count; i++) threads[i].state = READY;
    }
}

// Whether an argument is what a parameter of type P takes; if not, that is the problem.
template <class P> static bool fits(const Argument &argument, const char *name, int position) {
    static char text[200];
    bool fits;
    if constexpr (std::is_pointer_v<P>) fits = argument.is_array && argument.item_size == sizeof(std::remove_pointer_t<P>);
    else fits = !argument.is_array && argument.item_size == sizeof(P);
    if (!fits) {
        snprintf(text, sizeof text, "%s: argument %d is %s of %d bytes, which the kernel does not take there", name, position,
                 argument.is_array ? "an array of numbers" : "a number", argument.item_size);
        problem = text;
    }
    return fits;
}

template <class P> static P value(const Argument &argument) {
    if constexpr (std::is_pointer_v<P>) return (P)argument.data;
    else return *(P *)argument.data;
}

static bool is_grid(const unsigned *size) { return size[0] && size[1] && size[2] && size[1] <= 65535 && size[2] <= 65535; }

template <auto kernel> struct Kernel;
template <class... P, void (*kernel)(P...)> struct Kernel<kernel> {
    template <size_t... I> static void spread(Argument *a, std::index_sequence<I...>) { kernel(value<P>(a[I])...); }
    static void run(Argument *arguments) { spread(arguments, std::index_sequence_for<P...>{}); }
    template <size_t... I> static void check(Argument *a, const char *name, std::index_sequence<I...>) {
        (void)(fits<P>(a[I], name, I) && ...);
    }
    static const char *launch(
        const char *name, const unsigned *grid, const unsigned *block, size_t shared, Argument *arguments, int given, int order
    ) {
        static char text[200];
        const size_t space = sizeof text;
        problem = nullptr;
        count = block[0] * block[1] * block[2];
        if (given != sizeof...(P)) snprintf(text, space, "%s: %d arguments for %zu parameters", name, given, sizeof...(P));
        else if (count < 1 || count > MOST_THREADS) snprintf(text, space, "%s: a block of %d threads", name, count);
        else if (!is_grid(grid)) snprintf(text, space, "%s: a grid of %u x %u x %u blocks", name, grid[0], grid[1], grid[2]);
        else text[0] = 0;
        if (text[0]) return text;
        check(arguments, name, std::index_sequence_for<P...>{});
        if (problem) return problem;
        if (!stacks) stacks = (char *)malloc(MOST_THREADS * STACK);
        gridDim = {grid[0], grid[1], grid[2]};
        blockDim = {block[0], block[1], block[2]};
        body = run;
        body_arguments = arguments;
        reversed = order;
        dynamic_memory = (char *)malloc(shared);
        for (unsigned z = 0; z < grid[2]; z++)
            for (unsigned y = 0; y < grid[1]; y++)
                for (unsigned x = 0; x < grid[0] && !problem; x++) {
                    blockIdx = {x, y, z};
                    memset(dynamic_memory, 0xff, shared);
#ifndef SANITIZED
                    char *start = __start_shared_memory, *stop = __stop_shared_memory;
                    if (start) memset(start, 0xff, stop - start);
#endif
                    run_block();
                }
        free(dynamic_memory);
        return problem;
    }
};

template <class V> static V shuffle(unsigned mask, V value, int source) {
    if (mask != 0xffffffffu) problem = "a shuffle of a part of the warp, which the tests do not run";
    Thread &me = threads[current];
    me.turn ^= 1;
    memcpy(&me.offered[me.turn], &value, sizeof value);
    int turn = me.turn, warp = current / LANES * LANES;
    wait(AT_WARP_BARRIER);
    if (source < 0 || source >= LANES || warp + source >= count) return value;
    memcpy(&value, &threads[warp + source].offered[turn], sizeof value);
    return value;
}

}  // namespace cpu

#define LANE (cpu::current % cpu::LANES)
static inline void __syncthreads() { cpu::wait(cpu::AT_BLOCK_BARRIER); }
static inline void __syncwarp(unsigned = 0xffffffffu) { cpu::wait(cpu::AT_WARP_BARRIER); }
template <class V> static V __shfl_sync(unsigned mask, V value, int lane) { return cpu::shuffle(mask, value, lane); }
template <class V> static V __shfl_xor_sync(unsigned mask, V value, int bits) { return cpu::shuffle(mask, value, LANE ^ bits); }
template <class V> static V __shfl_down_sync(unsigned mask, V value, int by) { return cpu::shuffle(mask, value, LANE + by); }
template <class V> static V __shfl_up_sync(unsigned mask, V value, int by) { return cpu::shuffle(mask, value, LANE - by); }

// `extern __shared__ A name[]` of CUDA is not C++: kernels write DYNAMIC_SHARED(A, name), which common.cuh defines for CUDA.
#define DYNAMIC_SHARED(type, name) type *name = (type *)cpu::dynamic_memory
template <class V> static V atomicAdd(V *at, V value) {
    V before = *at;
    *at = before + value;
    return before;
}
