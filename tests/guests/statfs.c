// statfs(2), fstatfs(2), fpathconf(3): numbers that change with every file written on this machine.
#include "guest.h"

#include <sys/statfs.h>

static void show(const char *name, const struct statfs *s) {
    printf("%s: type %lx block %ld of %ld free %ld files %ld free %ld id %x:%x\n", name, s->f_type, s->f_bsize,
           s->f_blocks, s->f_bfree, s->f_files, s->f_ffree, s->f_fsid.__val[0], s->f_fsid.__val[1]);
}

int main(void) {
    struct statfs here, proc, opened;
    int fd = file_with("file", "");
    OK(statfs(".", &here));
    OK(fstatfs(fd, &opened));
    OK(statfs("/proc", &proc));
    CHECK(here.f_type == opened.f_type && here.f_namelen > 0 && proc.f_type == 0x9fa0);
    show("here", &here);
    show("file", &opened);
    show("proc", &proc);
    printf("longest name %ld\n", fpathconf(fd, _PC_NAME_MAX));
    FAILS(ENOENT, statfs("nowhere", &here));
    FAILS(EBADF, fstatfs(99, &here));
    return 0;
}
