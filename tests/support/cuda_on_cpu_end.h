// Behind a kernel's text and a `KERNELS(X)` that names all its kernels: how cuda_on_cpu.py gets at them.

typedef const char *Launch(const char *, const unsigned *, const unsigned *, size_t, cpu::Argument *, int, int);
struct Entry { const char *name; Launch *launch; };
#define ENTRY(name) {#name, cpu::Kernel<name>::launch},
static const Entry entries[] = {KERNELS(ENTRY)};

extern "C" __attribute__((visibility("default"))) const char *launch(
    const char *name, const unsigned *grid, const unsigned *block, size_t shared, cpu::Argument *arguments, int given, int order
) {
    for (const Entry &entry : entries)
        if (!strcmp(entry.name, name)) return entry.launch(name, grid, block, shared, arguments, given, order);
    return "no kernel of this name";
}

#ifdef SANITIZED
// A program of its own, since the sanitizer has to be in a process from its start, and ends it at the first fault. It reads a
// launch, gives every array memory of its own of exactly that size, and writes all of them back.
static void get(void *to, size_t size) { if (size && fread(to, size, 1, stdin) != 1) exit(3); }

int main() {
    struct { char name[64]; unsigned grid[3], block[3]; uint64_t shared; int32_t given, order; } head;
    get(&head, sizeof head);
    cpu::Argument *arguments = (cpu::Argument *)calloc(head.given, sizeof(cpu::Argument));
    uint64_t *sizes = (uint64_t *)calloc(head.given, sizeof(uint64_t));
    for (int i = 0; i < head.given; i++) {
        get(&arguments[i].is_array, 4);
        get(&arguments[i].item_size, 4);
        get(&sizes[i], 8);
        arguments[i].data = malloc(sizes[i]);
        get(arguments[i].data, sizes[i]);
    }
    if (const char *said = launch(head.name, head.grid, head.block, head.shared, arguments, head.given, head.order)) {
        fprintf(stderr, "%s", said);
        return 2;
    }
    for (int i = 0; i < head.given; i++)
        if (arguments[i].is_array && sizes[i]) fwrite(arguments[i].data, sizes[i], 1, stdout);
    return 0;
}
#endif
