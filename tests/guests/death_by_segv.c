// signal: 11
// A fault that nobody handles.
#include "guest.h"

int main(void) {
    volatile int *volatile nowhere = NULL;
    dprintf(1, "pid %d writes to address 0\n", getpid());
    *nowhere = 1;
    dprintf(1, "not reached\n");
    return 1;
}
