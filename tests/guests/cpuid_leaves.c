// The cpuid instruction: vendor, features, extended state, caches, brand; asked twice, the answers are the same.
#include "guest.h"

#include <cpuid.h>

static void leaf(unsigned number, unsigned part) {
    unsigned a, b, c, d, again[4];
    __cpuid_count(number, part, a, b, c, d);
    __cpuid_count(number, part, again[0], again[1], again[2], again[3]);
    printf("%08x.%x: %08x %08x %08x %08x\n", number, part, a, b, c, d);
    // The initial APIC id (leaf 1 and 11) is that of the processor the program happens to run on.
    if (number != 1 && number != 11 && number != 0x8000001e && number != 0x1f) {
        CHECK(a == again[0] && b == again[1] && c == again[2] && d == again[3]);
    }
}

int main(void) {
    unsigned highest = __get_cpuid_max(0, NULL), extended = __get_cpuid_max(0x80000000, NULL);
    CHECK(highest >= 7);
    for (unsigned number = 0; number <= highest && number <= 0x20; number++) {
        for (unsigned part = 0; part < (number == 4 || number == 7 || number == 13 ? 4u : 1u); part++) leaf(number, part);
    }
    for (unsigned number = 0x80000000; number <= extended && number <= 0x80000021; number++) leaf(number, 0);
    return 0;
}
