// execve(2), execveat(2): what a program hands on to the one that it becomes, and what not; calls that fail; scripts; by
// descriptor; from a handler; often.
// output: fixed
#include "guest.h"

#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;
static char self[256];

static void become(const char *stage, const char *more) {
    char *arguments[] = {"me", (char *)stage, self, (char *)more, NULL};
    fflush(stdout);
    execve(self, arguments, environ);
    CHECK(!"execve returns");
}

static void on_signal(int signal) {
    printf("exec in the handler of %d\n", signal);
    become("handled", "");
}

static void show_state(void) {
    sigset_t mask, waiting;
    struct sigaction handled, ignored;
    OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    OK(sigpending(&waiting));
    OK(sigaction(SIGUSR1, NULL, &handled));
    OK(sigaction(SIGHUP, NULL, &ignored));
    printf("USR1 %s, flags %#x; HUP %s, flags %#x; TERM %s, %s\n", handled.sa_handler == SIG_DFL ? "default" : "other",
           (unsigned)handled.sa_flags, ignored.sa_handler == SIG_IGN ? "ignored" : "other", (unsigned)ignored.sa_flags,
           sigismember(&mask, SIGTERM) ? "blocked" : "open", sigismember(&waiting, SIGTERM) ? "pending" : "not there");
    stack_t stack;
    OK(sigaltstack(NULL, &stack));
    char name[17] = {0}, directory[256];
    OK(prctl(PR_GET_NAME, name));
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    mode_t mode = umask(0);
    umask(mode);
    CHECK(getcwd(directory, sizeof directory) != NULL);
    printf("alternate stack %s, mask %03o, %lu descriptors, %s, alarm %s\n",
           stack.ss_flags & SS_DISABLE ? "off" : "on", mode, limit.rlim_cur, strrchr(directory, '/'),
           alarm(0) > 900 ? "on" : "off");
    printf("descriptors:");
    for (int fd = 3; fd < 12; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf(" %d", fd);
    printf("\n");
}

static void failures(void) {
    char *arguments[] = {"x", NULL};
    FAILS(ENOENT, execve("./nowhere", arguments, environ));
    FAILS(EACCES, execve(".", arguments, environ));
    OK(close(file_with("text", "no program")));
    FAILS(EACCES, execve("./text", arguments, environ));
    OK(chmod("text", 0755));
    FAILS(ENOEXEC, execve("./text", arguments, environ));
    FAILS(EFAULT, syscall(SYS_execve, 8, arguments, environ));
    FAILS(EFAULT, syscall(SYS_execve, self, 8, environ));
    FAILS(EBADF, syscall(SYS_execveat, 77, "x", arguments, environ, 0));
    FAILS(EINVAL, syscall(SYS_execveat, AT_FDCWD, self, arguments, environ, 0x800000));
    char *large = malloc(200000), *many[] = {large, NULL};
    memset(large, 'x', 199999);
    large[199999] = 0;
    FAILS(E2BIG, execve(self, many, environ));
    int script = file_with("script", "#!/no/such/interpreter\n");
    OK(fchmod(script, 0755));
    OK(close(script));
    FAILS(ENOENT, execve("./script", arguments, environ));
}

int main(int argc, char **argv) {
    if (argc < 3) {
        self[OK(readlink("/proc/self/exe", self, sizeof self - 1))] = 0;
        failures();
        handle(SIGUSR1, on_signal, SA_RESTART | SA_ONSTACK);
        handle(SIGHUP, SIG_IGN, SA_RESTART);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        OK(sigprocmask(SIG_BLOCK, &set, NULL));
        OK(raise(SIGTERM));
        static char stack[65536];
        OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
        OK(prctl(PR_SET_NAME, "renamed"));
        OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 200}));
        umask(027);
        OK(mkdir("inner", 0700));
        OK(chdir("inner"));
        CHECK(dup2(file_with("kept", "kept"), 5) == 5);
        CHECK(dup3(5, 6, O_CLOEXEC) == 6);
        CHECK(fcntl(5, F_DUPFD_CLOEXEC, 9) == 9);
        char *shared = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 5, 0));
        memcpy(shared, "mine", 4);
        setenv("HANDED", "on", 1);
        show_state();
        alarm(1000);
        become("second", "");
    }
    strcpy(self, argv[2]);
    const char *stage = argv[1];
    if (strcmp(stage, "second") == 0) {
        show_state();
        char text[5] = {0};
        CHECK(pread(5, text, 4, 0) == 4);
        char name[17] = {0};
        OK(prctl(PR_GET_NAME, name));
        printf("%s, HANDED %s, %s, %ld bytes\n", argv[0], getenv("HANDED"), text, (long)lseek(5, 0, SEEK_CUR));
        unsetenv("HANDED");
        become("counts", "0");
    } else if (strcmp(stage, "counts") == 0) {
        int count = atoi(argv[3]) + 1;
        static int fresh;
        CHECK(fresh++ == 0 && !getenv("HANDED"));
        char next[16];
        snprintf(next, sizeof next, "%d", count);
        become(count < 20 ? "counts" : "script", next);
    } else if (strcmp(stage, "script") == 0) {
        char text[600];
        snprintf(text, sizeof text, "#!%s scripted\n", self);
        OK(close(file_with("script", text)));
        OK(chmod("script", 0700));
        printf("%s times\n", argv[3]);
        fflush(stdout);
        execve("./script", (char *[]){"ignored", self, "behind", NULL}, environ);
    } else if (strcmp(stage, "scripted") == 0) {
        // me scripted ./script SELF behind
        strcpy(self, argv[3]);
        char name[17] = {0};
        OK(prctl(PR_GET_NAME, name));
        printf("%s %s %s, named %s\n", argv[1], argv[2], argv[4], name);
        fflush(stdout);
        int fd = OK(open(self, O_PATH));
        syscall(SYS_execveat, fd, "", (char *[]){"by descriptor", "descriptor", self, "", NULL}, environ, AT_EMPTY_PATH);
    } else if (strcmp(stage, "descriptor") == 0) {
        printf("%s\n", argv[0]);
        // A relative path, the file's own directory being the current one.
        char *slash = strrchr(self, '/');
        char directory[256];
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - self), self);
        OK(chdir(directory));
        fflush(stdout);
        execve(slash + 1, (char *[]){"relative", "relative", self, "", NULL}, environ);
    } else if (strcmp(stage, "relative") == 0) {
        printf("%s\n", argv[0]);
        handle(SIGUSR1, on_signal, 0);
        OK(raise(SIGUSR1));
    } else if (strcmp(stage, "handled") == 0) {
        sigset_t mask;
        OK(sigprocmask(SIG_BLOCK, NULL, &mask));
        printf("USR1 is %s\n", sigismember(&mask, SIGUSR1) ? "blocked" : "open");
        fflush(stdout);
        execl("/bin/echo", "echo", "the", "end", NULL);
    }
    CHECK(!"a stage returns");
}
