// inotify: what happens to files in a directory, cookies of a rename, a removed watch.
#include "guest.h"

#include <sys/inotify.h>

static int drain(int fd) {
    char buffer[4096] __attribute__((aligned(8)));
    long n = read(fd, buffer, sizeof buffer);
    int events = 0;
    for (long at = 0; at < n; events++) {
        struct inotify_event *event = (struct inotify_event *)(buffer + at);
        printf("watch %d mask %x cookie %u name %s\n", event->wd, event->mask, event->cookie,
               event->len ? event->name : "-");
        at += (long)(sizeof *event + event->len);
    }
    return events;
}

int main(void) {
    int fd = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    OK(mkdir("dir", 0755));
    int watch = OK(inotify_add_watch(fd, "dir", IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE));
    CHECK(drain(fd) == 0 && errno == EAGAIN);
    OK(close(file_with("dir/a", "text")));
    OK(rename("dir/a", "dir/b"));
    OK(unlink("dir/b"));
    CHECK(drain(fd) == 4);
    OK(inotify_rm_watch(fd, watch));
    CHECK(drain(fd) == 1);
    FAILS(EINVAL, inotify_rm_watch(fd, watch));
    FAILS(ENOENT, inotify_add_watch(fd, "nowhere", IN_CREATE));
    FAILS(EINVAL, inotify_add_watch(fd, "dir", 0));
    return 0;
}
