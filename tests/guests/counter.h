// Code that reads the time-stamp counter, often: it never goes back, and what is computed from it is in the registers of the next record.

#pragma once

#include "guest.h"

typedef uint64_t (*reader)(void);

// rdtsc; shl rdx, 32; or rax, rdx; ret
static const unsigned char rdtsc[] = {0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3};

static uint64_t last;

static void read_often(const unsigned char *at, const char *where) {
    uint64_t sum = 0;
    for (int i = 0; i < 40; i++) {
        uint64_t now = ((reader)(uintptr_t)at)();
        CHECK(now > last);
        last = now;
        sum = sum * 31 + now;
        CHECK(pwrite(1, &sum, 0, 0) <= 0);
    }
    CHECK(sum != 0);
    printf("%s: never back\n", where);
}
