// signal: 26
// ITIMER_VIRTUAL without a handler: it counts while the program computes, and ends it.
#include "guest.h"

int main(void) {
    struct itimerval timer = {.it_value = {0, 20000}};
    OK(setitimer(ITIMER_VIRTUAL, &timer, NULL));
    for (volatile unsigned long i = 0;; i++) {}
}
