// A signal ends a program that makes no system call.
// signal: 14
// output: fixed
#include "guest.h"

int main(void) {
    printf("round and round\n");
    fflush(stdout);
    tick_every(20, 0);
    for (volatile unsigned long rounds = 0;; rounds++)
        ;
}
