// Memory calls after a failover: heap, mappings, the stack.
#include "server.h"

static char *pieces[64];
static char *mapped;
static void *end_of_heap;

static unsigned long digest(const char *bytes, size_t length) {
    unsigned long hash = 5381;
    for (size_t i = 0; i < length; i++) hash = hash * 33 + (unsigned char)bytes[i];
    return hash;
}

static void fill(const char *argument) {
    (void)argument;
    for (int i = 0; i < 64; i++) {
        pieces[i] = malloc((size_t)1000 * (size_t)(i + 1));
        CHECK(pieces[i]);
        memset(pieces[i], i, (size_t)1000 * (size_t)(i + 1));
    }
    for (int i = 0; i < 64; i += 2) {
        free(pieces[i]);
        pieces[i] = NULL;
    }
    mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapped != MAP_FAILED);
    memset(mapped, 7, 1 << 20);
    OK(mprotect(mapped + 4096, 4096, PROT_NONE));
    end_of_heap = sbrk(0);
    reply("filled");
}

static void check(const char *argument) {
    (void)argument;
    unsigned long sum = digest(mapped, 4096);
    for (int i = 1; i < 64; i += 2) sum = sum * 31 + digest(pieces[i], (size_t)1000 * (size_t)(i + 1));
    reply("sum %016lx, heap %s", sum, sbrk(0) == end_of_heap ? "as it was" : "elsewhere");
}

static void grow(const char *argument) {
    (void)argument;
    for (int i = 0; i < 64; i += 2) {
        pieces[i] = malloc((size_t)20000 * (size_t)(i + 1));
        CHECK(pieces[i]);
        memset(pieces[i], i, (size_t)20000 * (size_t)(i + 1));
    }
    char *big = malloc(40 << 20);
    CHECK(big);
    memset(big, 1, 40 << 20);
    unsigned long sum = digest(big, 40 << 20);
    free(big);
    void *end = sbrk(1 << 20);
    CHECK(end != (void *)-1);
    memset(end, 3, 1 << 20);
    OK(brk(end));
    mapped = mremap(mapped, 4096, 4 << 20, MREMAP_MAYMOVE);
    CHECK(mapped != MAP_FAILED);
    memset(mapped + 4096, 9, (4 << 20) - 4096);
    for (int i = 0; i < 64; i += 2) {
        sum = sum * 31 + digest(pieces[i], (size_t)20000 * (size_t)(i + 1));
        free(pieces[i]);
    }
    reply("grown, %016lx %016lx", sum, digest(mapped, 4 << 20));
    OK(munmap(mapped, 4 << 20));
}

static unsigned long deep(int depth) {
    volatile char frame[4096];
    frame[0] = (char)depth;
    frame[4095] = 1;
    return depth == 0 ? 0 : deep(depth - 1) + (unsigned char)frame[0] + (unsigned char)frame[4095];
}

static void recurse(const char *argument) { reply("deep %lu", deep(atoi(argument))); }

static void touch_the_forbidden(const char *argument) {
    (void)argument;
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    page[0] = 'x';
    OK(mprotect(page, 4096, PROT_READ));
    // The kernel looks at the protection, too.
    int zeros = OK(open("/dev/zero", O_RDONLY));
    reply("%c, writing gives %s", page[0], outcome(read(zeros, page, 1)));
    OK(close(zeros));
    OK(munmap(page, 8192));
}

static const struct command commands[] = {
    {"fill", fill}, {"check", check}, {"grow", grow}, {"recurse", recurse}, {"forbidden", touch_the_forbidden}, {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}
