// The time-stamp counter, read by code that is mapped from files: alone, behind bytes that look like it, and across pages.
// output: fixed
#include "counter.h"

// mov eax, 0x9090310f: no rdtsc; then one
static const unsigned char hidden[] = {0xb8, 0x0f, 0x31, 0x90, 0x90, 0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3};

static unsigned char *mapped(const char *name, size_t at, const unsigned char *code, size_t length) {
    static unsigned char pages[8192];
    memset(pages, 0x90, sizeof pages);
    memcpy(pages + at, code, length);
    int fd = file_with(name, "");
    CHECK(write(fd, pages, sizeof pages) == sizeof pages);
    return OK(mmap(NULL, sizeof pages, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0)) + at;
}

int main(void) {
    read_often(mapped("plain", 1000, rdtsc, sizeof rdtsc), "a function");
    read_often(mapped("hidden", 1000, hidden, sizeof hidden), "behind an immediate operand");
    read_often(mapped("across", 4095, rdtsc, sizeof rdtsc), "across pages");
    read_often(mapped("first", 0, rdtsc, sizeof rdtsc), "at the beginning");
    return 0;
}
