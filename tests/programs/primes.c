/* Compiled by a test, stage by stage. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint8_t sieve[1 << 16];

int main(void) {
    size_t count = 0;
    memset(sieve, 1, sizeof sieve);
    for (size_t i = 2; i < sizeof sieve; i++) {
        if (!sieve[i]) continue;
        count++;
        for (size_t j = i * i; j < sizeof sieve; j += i) sieve[j] = 0;
    }
    printf("%zu %.17g\n", count, (double)count / sizeof sieve);
    return count != 6542;
}
