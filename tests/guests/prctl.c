// prctl(2): the calls that servers make at their start.
#include "guest.h"

#include <sys/prctl.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

int main(void) {
    char name[16] = "";
    OK(prctl(PR_GET_NAME, name));
    printf("name %s\n", name);
    OK(prctl(PR_SET_NAME, "a much longer name than fits"));
    OK(prctl(PR_GET_NAME, name));
    printf("name %s\n", name);
    CHECK(strcmp(name, "a much longer n") == 0);
    OK(prctl(PR_SET_DUMPABLE, 1));
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
    printf("capability 10 in the bounding set: %d\n", prctl(PR_CAPBSET_READ, 10));
    printf("secure bits %x\n", (unsigned)prctl(PR_GET_SECUREBITS));
    printf("no new privileges: %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    char *area = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    printf("naming memory: %d\n", prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, area, 4096, "guest"));
    int signal = -1;
    OK(prctl(PR_GET_PDEATHSIG, &signal));
    printf("death signal %d, keep capabilities %d\n", signal, prctl(PR_GET_KEEPCAPS));
    FAILS(EINVAL, prctl(PR_CAPBSET_READ, 9999));
    FAILS(EFAULT, prctl(PR_SET_NAME, 8));
    return 0;
}
