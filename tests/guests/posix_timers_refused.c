// timer_create(2) of clocks that wake the machine or are not carried over: refused with EINVAL, as by a kernel without them.
// refused: timer_create of clock 9
#include "guest.h"

int main(void) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t timer;
    FAILS(EINVAL, timer_create(CLOCK_BOOTTIME_ALARM, &event, &timer));
    FAILS(EINVAL, timer_create(CLOCK_REALTIME_ALARM, &event, &timer));
    FAILS(EINVAL, timer_create(CLOCK_TAI, &event, &timer));
    // The processor time of another process: that of process 1 (~1 * 8 + 2).
    FAILS(EINVAL, timer_create(-14, &event, &timer));
    return 0;
}
