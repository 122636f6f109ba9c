// Files at their offsets, directories, locks, watches, mapped files. Works in the directory it is started in.
#include "server.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/inotify.h>

static int plain, copy, append, locked, gone, directory, watcher;
static char *shared, *private, *written, *alias;

static void open_all(const char *argument) {
    (void)argument;
    plain = file_with("plain", "abcdefghijklmnopqrstuvwxyz");
    OK(lseek(plain, 3, SEEK_SET));
    copy = OK(dup(plain));
    append = OK(open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    CHECK(write(append, "one\n", 4) == 4);
    gone = file_with("gone", "secret");
    // Done already by a replica that died, maybe.
    if (unlink("gone") != 0) CHECK(errno == ENOENT);
    make_directory("entries");
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "entries/number-%02d", i);
        OK(close(OK(open(name, O_CREAT | O_WRONLY, 0600))));
    }
    directory = OK(open("entries", O_RDONLY | O_DIRECTORY));
    reply("plain at %ld, log at %ld", (long)OK(lseek(copy, 0, SEEK_CUR)), (long)OK(lseek(append, 0, SEEK_CUR)));
}

// Through one descriptor; the other one must see the offset.
static void shared_offset(const char *argument) {
    (void)argument;
    char two[3] = {0};
    CHECK(read(copy, two, 2) == 2);
    reply("read %s, the other is at %ld", two, (long)OK(lseek(plain, 0, SEEK_CUR)));
}

static void shared_flags(const char *argument) {
    int flags = OK(fcntl(plain, F_GETFL));
    if (*argument) OK(fcntl(plain, F_SETFL, flags ^ O_NONBLOCK));
    reply("flags %#x %#x, close on exec %d %d %d", OK(fcntl(plain, F_GETFL)), OK(fcntl(copy, F_GETFL)),
          OK(fcntl(plain, F_GETFD)), OK(fcntl(copy, F_GETFD)), OK(fcntl(append, F_GETFD)));
}

static void overwrite(const char *argument) {
    CHECK(write(plain, argument, strlen(argument)) == (ssize_t)strlen(argument));
    char text[64] = {0};
    CHECK(pread(plain, text, sizeof text - 1, 0) > 0);
    reply("%s, at %ld", text, (long)OK(lseek(plain, 0, SEEK_CUR)));
}

static void add_line(const char *argument) {
    char line[128];
    int length = snprintf(line, sizeof line, "%s\n", argument);
    CHECK(write(append, line, (size_t)length) == length);
    reply("at %ld", (long)OK(lseek(append, 0, SEEK_CUR)));
}

static void read_unlinked(const char *argument) {
    (void)argument;
    char text[16] = {0};
    reply("%s", outcome(pread(gone, text, sizeof text, 0)));
}

// A few entries; the cookie of the last one is where the next call goes on.
static int seen[40];
static void read_directory(const char *argument) {
    size_t size = (size_t)atoi(argument);
    char buffer[4096];
    long length = OK(syscall(SYS_getdents64, directory, buffer, size));
    int fresh = 0, again = 0;
    for (long at = 0; at < length;) {
        struct dirent64 *entry = (struct dirent64 *)(buffer + at);
        int number;
        if (sscanf(entry->d_name, "number-%d", &number) == 1) seen[number]++ ? again++ : fresh++;
        at += entry->d_reclen;
    }
    int all = 0;
    for (int i = 0; i < 40; i++) all += seen[i] == 1;
    reply("%s, %d again, %s", fresh > 0 ? "some" : "none", again, all == 40 ? "all 40 once" : "not all yet");
}

static void lock(const char *argument) {
    (void)argument;
    locked = file_with("locked", "0123456789");
    OK(flock(locked, LOCK_EX));
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 4, .l_len = 2};
    OK(fcntl(locked, F_SETLK, &range));
    reply("locked");
}

static void unlock(const char *argument) {
    (void)argument;
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    OK(fcntl(locked, F_SETLK, &range));
    OK(flock(locked, LOCK_UN));
    reply("unlocked");
}

static void watch(const char *argument) {
    (void)argument;
    watcher = OK(inotify_init1(IN_NONBLOCK));
    make_directory("first");
    make_directory("watched");
    int first = OK(inotify_add_watch(watcher, "first", IN_CREATE));
    int second = OK(inotify_add_watch(watcher, "watched", IN_CREATE | IN_DELETE));
    OK(inotify_rm_watch(watcher, first));
    char events[512];
    CHECK(read(watcher, events, sizeof events) > 0);
    reply("watch %d", second);
}

static void watched(const char *argument) {
    char path[128];
    snprintf(path, sizeof path, "watched/%s", argument);
    OK(close(OK(open(path, O_CREAT | O_WRONLY, 0600))));
    char events[512];
    ssize_t length = OK(read(watcher, events, sizeof events));
    struct inotify_event *event = (struct inotify_event *)events;
    reply("watch %d, %zd bytes, %s", event->wd, length, event->name);
}

static void map(const char *argument) {
    (void)argument;
    int fd = file_with("mapped", "the file as it was");
    shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(shared != MAP_FAILED && private != MAP_FAILED);
    memcpy(private, "MINE", 4);
    OK(close(fd));
    reply("%s, %s", shared, private);
}

static void change_mapped(const char *argument) {
    int fd = OK(open("mapped", O_RDWR));
    CHECK(pwrite(fd, argument, strlen(argument), 4) == (ssize_t)strlen(argument));
    char *fresh = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(fresh != MAP_FAILED);
    reply("%s, %.4s, %s", shared, private, fresh);
    OK(munmap(fresh, 4096));
    OK(close(fd));
}

// Written by memory, seen through a second mapping.
static void share(const char *argument) {
    (void)argument;
    int fd = file_with("written", "a file"), reading = OK(open("written", O_RDONLY));
    OK(ftruncate(fd, 3 * 4096));
    written = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    alias = mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, reading, 4096);
    CHECK(written != MAP_FAILED && alias != MAP_FAILED);
    OK(close(fd));
    OK(close(reading));
    OK(mprotect(written, 4096, PROT_READ));
    OK(mprotect(written, 4096, PROT_READ | PROT_WRITE));
    reply("%s [%s]", written, alias);
}

// Across the boundary of the pages.
static void put(const char *argument) {
    strcpy(written + 4094, argument);
    reply("%s [%s]", written + 4094, alias);
}

// As memory and as the file have it, the latter changed by a call.
static void see(const char *argument) {
    int fd = OK(open("written", O_RDWR));
    char text[32] = {0};
    CHECK(pwrite(fd, argument, strlen(argument), 2 * 4096) == (ssize_t)strlen(argument));
    CHECK(pread(fd, text, 31, 4094) == 31);
    OK(close(fd));
    reply("%s [%s] %s, %s", written + 4094, alias, text, alias + 4096);
}

// Lets go of a page, which then holds the file's content again.
static void let_go(const char *argument) {
    (void)argument;
    int result = madvise(private, 4096, MADV_DONTNEED);
    reply("%s", outcome(result));
}

// Reads so many MiB, faster than anybody can take them away.
static void flood(const char *argument) {
    static unsigned char piece[64 << 10];
    int fd = OK(open("flood", O_RDWR | O_CREAT, 0600));
    for (size_t i = 0; i < sizeof piece; i++) piece[i] = (unsigned char)(i * 31 >> 3);
    CHECK(pwrite(fd, piece, sizeof piece, 0) == sizeof piece);
    long sum = 0;
    for (long left = atol(argument) * 16; left > 0; left--) {
        CHECK(pread(fd, piece, sizeof piece, 0) == sizeof piece);
        sum = sum * 31 + piece[left % (long)sizeof piece];
    }
    OK(close(fd));
    reply("%ld", sum);
}

static const struct command commands[] = {
    {"open", open_all},      {"offset", shared_offset},   {"flags", shared_flags},
    {"write", overwrite},    {"append", add_line},        {"unlinked", read_unlinked},
    {"entries", read_directory}, {"lock", lock},          {"unlock", unlock},
    {"watch", watch},        {"watched", watched},        {"map", map},
    {"change", change_mapped}, {"let_go", let_go},      {"flood", flood},
    {"share", share},        {"put", put},                {"see", see},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}
