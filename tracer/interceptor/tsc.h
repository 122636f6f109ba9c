/* rdtsc and rdtscp: answered here where their sites are patched. */

#pragma once

#include "record.h"

/* The server's registers, as tsc_entry leaves them. Where calls have rcx, this has the instruction's address: it is what the digest has in the
 * place of the instruction pointer. */
struct tsc_frame {
    struct frame frame;
    u64 rcx, r11;
    u64 length; /* of the instruction; 0 in the frame of a call */
    u64 onward;
};

#define KIND_INSTRUCTION 3
/* The second byte of rdtsc; the first is a breakpoint in a trampoline. */
#define RDTSC 0x31
/* Site, rax, rbx, rcx, rdx. */
#define TSC_LOGGED 0x1f
/* The longest that it gets. */
#define TSC_RECORD (sizeof(struct head) + 6 * 8)
#define SYS_clock_gettime 228
#define CLOCK_MONOTONIC_RAW 4

static u64 tsc_check(const struct tsc_frame *frame) {
    struct digest digest = digest_registers(&frame->frame);
    return digest_finish(&digest);
}

/* The counter goes with a clock that every kernel answers to a process for which the instruction traps. */
static u64 tsc_now(void) {
    u64 time[2] = {0, 0};
    WORD(u32, LAYOUT_OWN) = 1;
    own(SYS_clock_gettime, CLOCK_MONOTONIC_RAW, number_of(time), 0, 0);
    WORD(u32, LAYOUT_OWN) = 0;
    u64 now = ((volatile u64 *)time)[0] * 1000000000 + ((volatile u64 *)time)[1];
    u64 since = WORD(u64, LAYOUT_TSC_SINCE), gone = now > since ? now - since : 0;
    u64 value = WORD(u64, LAYOUT_TSC_BASE) + (u64)((unsigned __int128)gone * WORD(u64, LAYOUT_TSC_RATE) >> 32);
    u64 last = WORD(u64, LAYOUT_TSC_LAST);
    if (value < last) value = last;
    WORD(u64, LAYOUT_TSC_LAST) = value;
    return value;
}

static int record_tsc(struct tsc_frame *frame, u64 number) {
    struct frame *regs = &frame->frame;
    if (!WORD(u64, LAYOUT_TSC_RATE) || WORD(u32, LAYOUT_SIGNALS)) return 0;
    if (!is_free(TSC_RECORD)) await_room(LAYOUT_HEAD, LAYOUT_TAIL, LAYOUT_RING_LEN, TSC_RECORD);
    u64 check = tsc_check(frame), value = tsc_now();
    regs->rax = value & 0xffffffff;
    regs->args[2] = value >> 32;
    if (number > 1) frame->rcx = WORD(u32, LAYOUT_TSC_AUX);
    u64 head = WORD(u64, LAYOUT_HEAD);
    u8 *begin = ring_at(head), *at = begin + sizeof(struct head);
    const u64 args[6] = {regs->others[6], regs->rax, regs->others[0], frame->rcx, regs->args[2]};
    u64 all;
    u8 *end = put_halves(at, TSC_LOGGED, args, &all);
    u64 narrow = all >> 32 ? 0 : NARROW;
    if (!narrow) end = put_words(at, TSC_LOGGED, args);
    /* The result is 0. */
    store_half(at, 0);
    if (!narrow) store(at, 0);
    u64 length = (u64)(end - begin);
    store(begin, length | (u64)KIND_INSTRUCTION << 32 | (TSC_LOGGED | narrow | FAST) << 40 | number << 48);
    store(begin + 8, check);
    barrier();
    head += length;
    WORD(u64, LAYOUT_HEAD) = head;
    WORD(u64, LAYOUT_CALLS)++;
    if (is_much(head)) tell();
    will_write(ring_at(head), NEXT);
    return 1;
}

static int replay_tsc(struct tsc_frame *frame, u64 number) {
    struct frame *regs = &frame->frame;
    if (!await_record(0)) return 0;
    u64 tail = WORD(u64, LAYOUT_TAIL);
    const u8 *begin = ring_at(tail), *at = begin + sizeof(struct head);
    struct head head;
    __builtin_memcpy(&head, begin, sizeof head);
    u8 narrow = head.logged & NARROW;
    if (head.kind != KIND_INSTRUCTION || head.number != number || head.logged != (TSC_LOGGED | narrow | FAST)) return 0;
    if (head.length != sizeof head + numbers_length(TSC_LOGGED, narrow ? 4 : 8)) return 0;
    u64 args[5];
    for (int i = 0; i < 5; i++) args[i] = narrow ? load_half(at + 4 + 4 * i) : load(at + 8 + 8 * i);
    if (args[0] != regs->others[6] || args[2] != regs->others[0]) return 0;
    if (head.check != tsc_check(frame)) return 0;
    will_read(begin + head.length, head.length);
    u64 rax = args[1], rcx = args[3], rdx = args[4];
    barrier();
    WORD(u64, LAYOUT_TAIL) = tail + head.length;
    /* From here on the tracer may let the process go on from the frame. */
    regs->rax = rax;
    frame->rcx = rcx;
    regs->args[2] = rdx;
    barrier();
    WORD(u64, LAYOUT_TAKEN)++;
    WORD(u64, LAYOUT_CALLS)++;
    (void)await_record(1);
    return 1;
}

/* Answers the instruction, or leaves it to the tracer: then it is executed in the trampoline, where it traps. */
__attribute__((used)) void handle_tsc(struct tsc_frame *frame) {
    u64 site = frame->frame.others[6];
    u32 mode = WORD(u32, LAYOUT_MODE);
    u64 length = ((const u8 *)(uintptr_t)site)[1] == RDTSC ? 2 : 3, number = length - 1;
    frame->length = length;
    int done = 0;
    if (!(frame->frame.flags & ALIGNMENT_CHECK)) {
        if (mode == LAYOUT_MODE_RECORD) done = record_tsc(frame, number);
        if (mode == LAYOUT_MODE_REPLAY) done = replay_tsc(frame, number);
    }
    frame->onward = done ? site + length : site;
}
