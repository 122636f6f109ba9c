// timer_create(2) and its kin: not replicated, refused with ENOSYS; setitimer(2) and timerfd are there.
// refused: timer_create (system call 222)
#include "guest.h"

int main(void) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct itimerspec setting = {.it_value = {1, 0}};
    int id = 0;
    FAILS(ENOSYS, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    FAILS(ENOSYS, syscall(SYS_timer_settime, 0, 0, &setting, NULL));
    FAILS(ENOSYS, syscall(SYS_timer_gettime, 0, &setting));
    FAILS(ENOSYS, syscall(SYS_timer_getoverrun, 0));
    FAILS(ENOSYS, syscall(SYS_timer_delete, 0));
    CHECK(setting.it_value.tv_sec == 1 && id == 0);
    timer_t timer;
    FAILS(ENOSYS, timer_create(CLOCK_REALTIME, NULL, &timer));
    return 0;
}
