// Children that may be lost on the way: each ends as it was told to, or was killed. What they held is closed then, SIGCHLD
// has come, and each can be waited for exactly once.
#include "guest.h"

#include <poll.h>
#include <sys/wait.h>

#define COUNT 3

static volatile sig_atomic_t notices;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (signal == SIGCHLD && (info->si_code == CLD_EXITED || info->si_code == CLD_KILLED)) notices++;
}

// The status of a child that had to answer `status`, or was lost.
static void expect(int found, int status) {
    CHECK((WIFEXITED(found) && WEXITSTATUS(found) == status) || (WIFSIGNALED(found) && WTERMSIG(found) == SIGKILL));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGCHLD, &action, NULL));
    signal(SIGPIPE, SIG_IGN);
    for (int round = 0; round < 4; round++) {
        int to[COUNT][2], from[2], status;
        pid_t children[COUNT];
        notices = 0;
        OK(pipe(from));
        for (int i = 0; i < COUNT; i++) {
            OK(pipe(to[i]));
            children[i] = OK(fork());
            if (children[i] == 0) {
                char byte;
                for (int k = 0; k <= i; k++) close(to[k][1]);
                while (read(to[i][0], &byte, 1) == 1)
                    if (write(from[1], &byte, 1) != 1) _exit(50);
                _exit(10 + i);
            }
            OK(close(to[i][0]));
        }
        OK(close(from[1]));
        // What was written comes back, or the other side is gone.
        for (int i = 0; i < COUNT; i++) {
            char byte = 'x';
            ssize_t sent = write(to[i][1], "a", 1);
            CHECK(sent == 1 || errno == EPIPE);
            if (sent == 1) {
                ssize_t length = OK(read(from[0], &byte, 1));
                CHECK(length == 0 || byte == 'a');
            }
        }
        // It is not told to end yet: it lives, or was lost.
        pid_t early = OK(waitpid(children[1], &status, WNOHANG));
        CHECK(early == 0 || WIFSIGNALED(status));
        for (int i = 0; i < COUNT; i++) OK(close(to[i][1]));
        char rest[8];
        while (OK(read(from[0], rest, sizeof rest)) > 0) {}
        OK(close(from[0]));
        siginfo_t info;
        if (waitid(P_PID, children[0], &info, WEXITED | WNOWAIT) == 0) {
            CHECK(info.si_pid == children[0]);
            OK(kill(children[0], SIGTERM));
        }
        CHECK(waitpid(children[0], &status, 0) == children[0]);
        expect(status, 10);
        CHECK(waitpid(children[0], &status, 0) == -1 && errno == ECHILD);
        for (int left = early == 0 ? 2 : 1; left > 0; left--) {
            pid_t found = OK(wait(&status));
            CHECK(found == children[1] || found == children[2]);
            expect(status, found == children[1] ? 11 : 12);
        }
        CHECK(wait(&status) == -1 && errno == ECHILD);
        CHECK(notices > 0);
    }
    printf("done\n");
    return 0;
}
