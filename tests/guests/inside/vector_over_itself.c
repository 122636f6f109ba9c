// readv(2) into the very memory that holds its vector: the kernel has read the vector before.
// output: fixed
// fast: 1
#include "site.h"

int main(void) {
    int file = file_with("file", "");
    struct iovec wild[4] = {{(void *)0x123456789000, 77}, {(void *)8, 1 << 19}, {(void *)-1, 5}, {NULL, 9}};
    CHECK(write(file, wild, sizeof wild) == sizeof wild);
    warm_up();
    for (int round = 0; round < 3; round++) {
        struct iovec vector[4] = {{NULL, 0}, {vector, sizeof vector}, {NULL, 0}, {NULL, 0}};
        OK(lseek(file, 0, SEEK_SET));
        SAYS(CALL(readv, file, vector, 4));
        CHECK(!memcmp(vector, wild, sizeof wild));
    }
    char name[256] = "file";
    for (int round = 0; round < 3; round++) {
        strcpy(name, "file");
        SAYS(CALL(newfstatat, AT_FDCWD, name, name, 0));
    }
    return 0;
}
