// capget(2): what the process may do; an unknown version is answered with the kernel's own.
#include "guest.h"

#include <linux/capability.h>

int main(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    OK(syscall(SYS_capget, &header, data));
    for (int i = 0; i < 2; i++)
        printf("effective %08x permitted %08x inheritable %08x\n", data[i].effective, data[i].permitted,
               data[i].inheritable);
    CHECK((data[0].effective & ~data[0].permitted) == 0);
    header.version = 1;
    FAILS(EINVAL, syscall(SYS_capget, &header, data));
    printf("version %x\n", header.version);
    CHECK(header.version == _LINUX_CAPABILITY_VERSION_3);
    header.pid = 0x3fffffff;
    FAILS(ESRCH, syscall(SYS_capget, &header, data));
    FAILS(EFAULT, syscall(SYS_capget, 8, data));
    return 0;
}
