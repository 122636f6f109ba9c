// wait4(2) of a process without children: ECHILD in every form.
#include "guest.h"

#include <sys/resource.h>
#include <sys/wait.h>

int main(void) {
    int status = 77;
    struct rusage usage = {.ru_maxrss = 77};
    FAILS(ECHILD, wait(&status));
    FAILS(ECHILD, waitpid(-1, &status, WNOHANG));
    FAILS(ECHILD, waitpid(getpid(), &status, 0));
    FAILS(ECHILD, wait4(1, &status, WUNTRACED, &usage));
    FAILS(EINVAL, waitpid(-1, &status, 0x100000));
    CHECK(status == 77 && usage.ru_maxrss == 77);
    return 0;
}
