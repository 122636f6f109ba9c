// posix_spawn(3), with actions on descriptors; of a program that is not there; system(3); popen(3) in both directions.
// output: fixed
#include "guest.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(void) {
    pid_t child;
    int status, ends[2];
    char *arguments[] = {"sh", "-c", "echo from the child; exit 3", NULL};
    CHECK(posix_spawn(&child, "/nonexistent", NULL, NULL, arguments, environ) == ENOENT);
    CHECK(posix_spawnp(&child, "no-such-program", NULL, NULL, arguments, environ) == ENOENT);
    FAILS(ECHILD, wait(NULL));

    OK(pipe2(ends, O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0);
    CHECK(posix_spawnp(&child, "sh", &actions, NULL, arguments, environ) == 0);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    OK(close(ends[1]));
    char text[64];
    ssize_t length = OK(read(ends[0], text, sizeof text));
    printf("%.*s", (int)length, text);
    CHECK(read(ends[0], text, sizeof text) == 0);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);

    CHECK(WEXITSTATUS(OK(system("exit 9"))) == 9);
    CHECK(system(NULL) != 0);

    FILE *stream = popen("echo one; echo two", "r");
    CHECK(stream != NULL);
    while (fgets(text, sizeof text, stream)) printf("%s", text);
    CHECK(pclose(stream) == 0);

    stream = popen("cat > written; exit 4", "w");
    CHECK(stream != NULL);
    fprintf(stream, "to the child\n");
    CHECK(WEXITSTATUS(pclose(stream)) == 4);
    stream = fopen("written", "r");
    CHECK(stream != NULL && fgets(text, sizeof text, stream) != NULL);
    printf("%s", text);
    return 0;
}
