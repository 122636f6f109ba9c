// mremap(2) with MREMAP_FIXED: onto what is mapped, growing and shrinking on the way; a page as it goes round a ring of addresses;
// overlaps and bad addresses are refused.
// output: fixed
#include "guest.h"

int main(void) {
    const size_t page = 4096;
    char *room = OK(mmap(NULL, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < 64; i++) memset(room + i * page, (int)i + 1, page);
    // The target's old content is gone, the source is a hole.
    CHECK(mremap(room, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, room + 10 * page) == room + 10 * page);
    CHECK(room[10 * page] == 1 && room[11 * page] == 12);
    FAILS(ENOMEM, msync(room, page, MS_ASYNC));
    CHECK(mremap(room + 20 * page, 4 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, room + 30 * page) == room + 30 * page);
    CHECK(room[30 * page] == 21 && room[31 * page] == 22 && room[32 * page] == 33);
    CHECK(mremap(room + 40 * page, page, 3 * page, MREMAP_MAYMOVE | MREMAP_FIXED, room + 50 * page) == room + 50 * page);
    CHECK(room[50 * page] == 41 && room[51 * page] == 0 && room[52 * page] == 0 && room[53 * page] == 54);
    char *travelling = room + 5 * page;
    char *free_at = room;
    for (int i = 0; i < 50; i++) {
        char *from = travelling;
        CHECK(mremap(travelling, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, free_at) == free_at);
        travelling = free_at;
        free_at = from;
        travelling[i] += (char)i;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < page; i++) sum = sum * 31 + (unsigned char)travelling[i];
    printf("sum %08x\n", sum);
    FAILS(EINVAL, mremap(room + 50 * page, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, room + 51 * page));
    FAILS(EINVAL, mremap(room + 50 * page, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, room + 1));
    FAILS(EINVAL, mremap(room + 50 * page, page, page, MREMAP_FIXED, room + 2 * page));
    FAILS(EFAULT, mremap(room + 20 * page, page, 2 * page, MREMAP_MAYMOVE));
    FAILS(ENOMEM, mremap(room + 50 * page, page, 2 * page, 0));
    return 0;
}
