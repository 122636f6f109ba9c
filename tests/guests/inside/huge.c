// A read of 100 MiB, a write of as much, and a record as long as the ring takes while the ring is full.
// output: fixed
// fast: 1000
#include "site.h"

int main(void) {
    int file = file_with("file", "begin");
    const long length = 100 << 20;
    OK(ftruncate(file, length));
    CHECK(pwrite(file, "end", 3, length - 3) == 3);
    char *memory = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    warm_up();
    CHECK(CALL(pread64, file, memory, length, 0) == length);
    CHECK(!memcmp(memory, "begin", 5) && !memcmp(memory + length - 3, "end", 3));
    CHECK(CALL(pwrite64, file, memory, length, 0) == length);
    printf("100 MiB\n");
    // Longer than the ring together, as fast as it goes.
    for (int i = 0; i < 1000; i++) {
        CHECK(CALL(pread64, file, memory, 32 << 10, (i % 64) << 10) == 32 << 10);
        CHECK(memory[0] == (i % 64 ? 0 : 'b'));
    }
    for (int i = 0; i < 20; i++) CHECK(CALL(pread64, file, memory, (1 << 20) - 256, 0) == (1 << 20) - 256);
    printf("much\n");
    return 0;
}
