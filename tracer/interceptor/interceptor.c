/* The interceptor: makes calls in the server's process and records them, or answers them from the log. See docs/fast-layer.md.
 *
 * Freestanding: general registers only, no library, no state but the shared memory. Layouts and tables are generated from the
 * tracer's own (layout.h, calls.h). */

#include "record.h"
#include "replay.h"
#include "tsc.h"

/* 1 when the call is done and its result in rax; 0 when it is to be made outside. */
__attribute__((used)) int handle(struct frame *frame) {
    u32 mode = WORD(u32, LAYOUT_MODE);
    u64 number = frame->rax;
    /* Nothing here is aligned. */
    if (frame->flags & ALIGNMENT_CHECK) return 0;
    if (mode == LAYOUT_MODE_OUTSIDE || number >= LAYOUT_ALLOWED_LEN) return 0;
    /* In replay the log says what was made in process. */
    if (mode == LAYOUT_MODE_RECORD && !TABLE(LAYOUT_ALLOWED)[number]) return 0;
    u32 index = call_index[number];
    if (index == NO_CALL) return 0;
    const struct call *call = &calls[index];
    if (!is_simple(call, frame->args)) return 0;
    return mode == LAYOUT_MODE_RECORD ? record(frame, call) : replay(frame, call);
}

/* What the compiler may call for. */
__attribute__((used)) void *memcpy(void *to, const void *from, size_t length) {
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length)::"memory");
    return start;
}
