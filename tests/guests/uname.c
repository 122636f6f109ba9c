// uname(2), gethostname(2), sysconf(3).
#include "guest.h"

#include <sys/utsname.h>

int main(void) {
    struct utsname name;
    char host[256];
    OK(uname(&name));
    printf("%s|%s|%s|%s|%s\n", name.sysname, name.nodename, name.release, name.version, name.machine);
    OK(gethostname(host, sizeof host));
    CHECK(strcmp(host, name.nodename) == 0 && strcmp(name.sysname, "Linux") == 0);
    printf("page %ld, processors %ld of %ld, ticks %ld, memory pages %ld\n", sysconf(_SC_PAGESIZE),
           sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_CONF), sysconf(_SC_CLK_TCK),
           sysconf(_SC_PHYS_PAGES));
    FAILS(EFAULT, syscall(SYS_uname, 8));
    return 0;
}
