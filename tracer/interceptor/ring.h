/* The rings: waiting for room, for records, for the other side. The steps are tested in src/interceptor/ring/tests.rs. */

#pragma once

#include "base.h"

static void sleep_on(u64 word, u32 value) {
    WORD(u32, LAYOUT_OWN) = 1;
    own(SYS_futex, (long)(LAYOUT_CONTROL + word), FUTEX_WAIT, value, 0);
    WORD(u32, LAYOUT_OWN) = 0;
}

static void wake(u64 word) {
    __atomic_fetch_add((u32 *)(uintptr_t)(LAYOUT_CONTROL + word), 1, __ATOMIC_SEQ_CST);
    WORD(u32, LAYOUT_OWN) = 1;
    own(SYS_futex, (long)(LAYOUT_CONTROL + word), FUTEX_WAKE, 1, 0);
    WORD(u32, LAYOUT_OWN) = 0;
}

/* Waits until `length` more bytes fit between the positions at `head` and `tail`. */
static void await_room(u64 head, u64 tail, u64 size, u64 length) {
    while (WORD(u64, head) + length - WORD(u64, tail) > size) {
        u32 value = WORD(u32, LAYOUT_DRAINED);
        WORD(u64, LAYOUT_WAITS)++;
        WORD(u32, LAYOUT_DRAINED_SLEEPS) = 1;
        fence();
        /* The consumer may be asleep in its turn: nothing in the ring was urgent. */
        if (WORD(u32, LAYOUT_FILLED_SLEEPS)) wake(LAYOUT_FILLED);
        if (WORD(u64, head) + length - WORD(u64, tail) > size) sleep_on(LAYOUT_DRAINED, value);
        WORD(u32, LAYOUT_DRAINED_SLEEPS) = 0;
    }
}

/* Whether so much is free in the ring of records. The consumer's position is in a line that the consumer writes: it is read when the
 * one seen last says too little. */
static inline int is_free(u64 length) {
    if (WORD(u64, LAYOUT_HEAD) + length - WORD(u64, LAYOUT_SEEN) <= LAYOUT_RING_LEN) return 1;
    WORD(u64, LAYOUT_SEEN) = WORD(u64, LAYOUT_TAIL);
    return WORD(u64, LAYOUT_HEAD) + length - WORD(u64, LAYOUT_SEEN) <= LAYOUT_RING_LEN;
}

/* Whether so much lies in the ring of records that its consumer is to be woken. */
static inline int is_much(u64 head) {
    if (head - WORD(u64, LAYOUT_SEEN) < LAYOUT_MUCH) return 0;
    WORD(u64, LAYOUT_SEEN) = WORD(u64, LAYOUT_TAIL);
    return head - WORD(u64, LAYOUT_SEEN) >= LAYOUT_MUCH;
}

/* Whether the next record is there. Behind a call, one that says that the process stops right there does not let it go on. */
static int is_there(int behind) {
    u64 tail = WORD(u64, LAYOUT_TAIL);
    return WORD(u64, LAYOUT_HEAD) != tail && !(behind && ring_at(tail)[4] == LAYOUT_STOP_KIND);
}

/* Waits for the next record. 0 when there will be none for the interceptor. */
static int await_record(int behind) {
    for (;;) {
        if (is_there(behind)) return 1;
        u32 value = WORD(u32, LAYOUT_FILLED);
        WORD(u32, LAYOUT_FILLED_SLEEPS) = 1;
        fence();
        if (!is_there(behind) && WORD(u32, LAYOUT_MODE) == LAYOUT_MODE_REPLAY) sleep_on(LAYOUT_FILLED, value);
        WORD(u32, LAYOUT_FILLED_SLEEPS) = 0;
        if (WORD(u32, LAYOUT_MODE) != LAYOUT_MODE_REPLAY) return 0;
    }
}
