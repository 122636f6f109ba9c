// What the guests share. A guest is a program about one system call or one feature: it prints what it
// observes, checks itself where that makes sense, and ends with a status that its first lines announce:
//
//   // cflags: -static       compiler flags beyond the usual ones
//   // exit: 3               exit status (0 if absent)
//   // signal: 6             the signal it dies by
//   // stdin: text           one line of standard input (/dev/null if absent)
//   // refused: fork         what ftrun refuses it, by name: such a guest checks the errno and is not run natively
//   // output: fixed         what it prints is the same in every run, so a recorded run must print it too
//   // fast: 20              how many of its calls the fast layer makes at least (0 if absent; only for those in inside/)
//
// Guests are single-threaded, need no arguments, write only into the current directory
// and end within a second. Time, pids, addresses and random bytes in the output are welcome: a replay has to
// reproduce them.
#ifndef GUEST_H
#define GUEST_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// A failed self-check ends a guest with this status, which no guest announces.
#define CHECK_FAILED 99

#define CHECK(condition)                                                                                        \
    do {                                                                                                        \
        if (!(condition)) {                                                                                     \
            int error_ = errno;                                                                                 \
            fflush(stdout);                                                                                     \
            dprintf(2, "%s:%d: check failed: %s (errno %d, %s)\n", __FILE__, __LINE__, #condition, error_,      \
                    strerror(error_));                                                                          \
            _exit(CHECK_FAILED);                                                                                \
        }                                                                                                       \
    } while (0)

// Ends a guest for which this machine lacks something; the tests count it as skipped.
#define ABSENT(what)                                                                                            \
    do {                                                                                                        \
        printf("absent: %s\n", what);                                                                           \
        exit(0);                                                                                                \
    } while (0)

// The value of a call that must not fail.
#define OK(call)                                                                                                \
    ({                                                                                                          \
        __typeof__(call) value_ = (call);                                                                       \
        CHECK((long)value_ != -1);                                                                              \
        value_;                                                                                                 \
    })

// A call that must fail with this errno.
#define FAILS(error, call)                                                                                      \
    do {                                                                                                        \
        errno = 0;                                                                                              \
        CHECK((long)(call) == -1);                                                                              \
        CHECK(errno == (error));                                                                                \
        printf("%s: %s\n", #call, #error);                                                                      \
    } while (0)

// Creates a file with this text, and gives it open for reading and writing, its offset behind the text.
static inline int file_with(const char *path, const char *text) {
    int fd = OK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static inline void print_hex(const char *name, const void *bytes, size_t length) {
    printf("%s:", name);
    for (size_t i = 0; i < length; i++) printf(" %02x", ((const unsigned char *)bytes)[i]);
    printf("\n");
}

static inline void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    OK(sigaction(signal, &action, NULL));
}

// SIGALRM after `first` milliseconds, then every `interval` milliseconds (0: once). A test of an interrupted
// call uses an interval, so that a tick which came before the call does no harm: the next one interrupts it.
static inline void tick_every(long first, long interval) {
    struct itimerval timer = {
        .it_value = {first / 1000, first % 1000 * 1000},
        .it_interval = {interval / 1000, interval % 1000 * 1000},
    };
    OK(setitimer(ITIMER_REAL, &timer, NULL));
}

#endif
