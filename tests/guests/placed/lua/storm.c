// A module for Lua: a storm of SIGALRM. The handler has Lua raise an error after the last one, as its own for SIGINT does; what it
// sees of the code that it interrupts goes into what is printed at the end.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <ucontext.h>

enum { TICKS = 60, MASK_COUNT = 8 };

// Of Lua 5.4, whose headers are not needed for that little.
extern void lua_sethook(void *state, void (*hook)(void *state, void *record), int mask, int count);
extern int luaL_error(void *state, const char *format, ...);

static void *lua;
static volatile uint64_t seen;
static volatile int ticks;

static void stop(void *state, void *record) {
    (void)record;
    lua_sethook(state, NULL, 0, 0);
    luaL_error(state, "enough");
}

static void on_tick(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    for (int i = 0; i <= REG_RIP; i++) seen = (seen ^ (uint64_t)registers[i]) * 0x9e3779b97f4a7c15u;
    if (++ticks != TICKS) return;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    lua_sethook(lua, stop, MASK_COUNT, 1);
}

static void report(void) {
    printf("%d ticks, %016llx\n", ticks, (unsigned long long)seen);
}

int luaopen_storm(void *state) {
    lua = state;
    atexit(report);
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 5000}, {0, 5000}}, NULL);
    return 0;
}
