// A child is stopped, continued and killed by its parent, which sees each of it; kill(2) of one that has ended.
#include "guest.h"

#include <sys/wait.h>

int main(void) {
    int status;
    pid_t child = OK(fork());
    if (child == 0) {
        for (;;) pause();
    }
    CHECK(waitpid(child, &status, WNOHANG) == 0);
    OK(kill(child, SIGSTOP));
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    OK(kill(child, SIGCONT));
    CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    siginfo_t info;
    OK(kill(child, SIGTSTP));
    OK(waitid(P_PID, child, &info, WSTOPPED | WNOWAIT));
    CHECK(info.si_code == CLD_STOPPED && info.si_status == SIGTSTP && info.si_pid == child);
    OK(waitid(P_PID, child, &info, WSTOPPED));
    OK(kill(child, SIGCONT));
    OK(waitid(P_PID, child, &info, WCONTINUED));
    CHECK(info.si_code == CLD_CONTINUED);
    OK(kill(child, SIGKILL));
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    child = OK(fork());
    if (child == 0) abort();
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    OK(kill(child, SIGTERM));
    CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGABRT);
    FAILS(ESRCH, kill(child, SIGTERM));

    // A child that handles signals, with a stack and state of its own.
    int ready[2];
    OK(pipe(ready));
    child = OK(fork());
    if (child == 0) {
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGUSR1);
        sigprocmask(SIG_BLOCK, &wanted, NULL);
        if (write(ready[1], "r", 1) != 1) _exit(1);
        int signal;
        sigwait(&wanted, &signal);
        _exit(signal);
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    OK(kill(child, SIGUSR1));
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == SIGUSR1);
    return 0;
}
