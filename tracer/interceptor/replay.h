/* A call is answered from the log. */

#pragma once

#include "gather.h"
#include "ring.h"

/* Where the bytes of a segment belong. */
static u8 *target(const struct segment *segment, const u8 **bytes, const u64 *args) {
    *bytes = (const u8 *)(segment + 1);
    if (segment->role & ADDRESSED) {
        u64 address = load(*bytes);
        *bytes += 8;
        return (u8 *)(uintptr_t)address;
    }
    return segment->arg < 6 ? (u8 *)(uintptr_t)args[segment->arg] : NULL;
}

static const struct segment *next(const struct segment *segment) {
    u64 header = segment->role & ADDRESSED ? 16 : 8;
    return (const struct segment *)((const u8 *)segment + header + padded(segment->length));
}

/* What the record tells the model, and what has left without standing in the server's memory. */
static int is_aside(u16 role) {
    return role == ROLE_SENT || role == ROLE_PEER || role == ROLE_LOCAL || role == ROLE_PATH;
}

static int replay(struct frame *frame, const struct call *call) {
    u64 *args = frame->args;
    if (!await_record(0)) return 0;
    u64 tail = WORD(u64, LAYOUT_TAIL);
    const u8 *begin = ring_at(tail);
    struct head head;
    __builtin_memcpy(&head, begin, sizeof head);
    u8 narrow = head.logged & NARROW;
    if (head.kind != KIND_CALL || head.number != call->number || head.logged != (call->logged | narrow | FAST)) return 0;
    /* The next record is like this one, more often than not. */
    will_read(begin + head.length, head.length);
    const u8 *at = begin + sizeof head;
    u64 width = narrow ? 4 : 8;
    i64 result = narrow ? (i32)load_half(at) : (i64)load(at);
    EACH_BIT(i, call->logged) {
        at += width;
        if ((narrow ? load_half(at) : load(at)) != args[i]) return 0;
    }
    at = begin + padded((u64)(at + width - begin));
    const struct segment *first = (const struct segment *)at;
    const struct segment *end = (const struct segment *)(begin + head.length);
    const u8 *bytes;
    u32 inputs = 0;
    for (const struct segment *segment = first; segment < end; segment = next(segment)) {
        const u8 *to = target(segment, &bytes, args);
        u16 role = segment->role & ~ADDRESSED;
        if (role == ROLE_IN) {
            if (!to || !same(to, bytes, segment->length)) return 0;
            inputs |= 1u << segment->arg;
        } else if (role == ROLE_OUT ? !to : !is_aside(role)) {
            return 0;
        }
    }
    /* Inputs that the log lacks, or that are longer than there. */
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        if (pointer->direction == DIRECTION_IN && (args[pointer->arg] != 0) != (inputs >> pointer->arg & 1)) return 0;
    }
    for (const struct segment *segment = first; segment < end; segment = next(segment)) {
        if ((segment->role & ~ADDRESSED) != ROLE_IN) continue;
        for (u32 i = 0; i < call->pointers; i++) {
            const struct pointer *pointer = &pointers[call->first + i];
            if (pointer->arg != segment->arg) continue;
            const u8 *from = target(segment, &bytes, args);
            u64 length = pointer->length == LENGTH_CSTRING ? string_length(from) : known_length(pointer, args);
            if (length != segment->length) return 0;
        }
    }
    struct digest digest = digest_inputs(call, frame);
    u64 sent = call->bulk < NO_BULK && result > 0 ? (u64)result : 0;
    u64 piece = 8 + padded(sent);
    u64 output = WORD(u64, LAYOUT_OUTPUT_HEAD);
    if (sent) {
        if (piece > LAYOUT_OUTPUT_LEN / 4) return 0;
        await_room(LAYOUT_OUTPUT_HEAD, LAYOUT_OUTPUT_TAIL, LAYOUT_OUTPUT_LEN, piece);
        u8 *to = output_at(output);
        store(to + piece - 8, 0);
        store(to, sent);
        digest_bulk(&digest, call, args, sent, to + 8);
    }
    if (digest_finish(&digest) != head.check) return 0;
    if (call->executes && result >= 0) {
        /* rt_sigprocmask, which can be made twice. What it writes comes from the log. */
        struct frame other = *frame;
        other.args[2] = 0;
        if (make(&other) != result) return 0;
    }
    for (const struct segment *segment = first; segment < end; segment = next(segment)) {
        u8 *to = target(segment, &bytes, args);
        if ((segment->role & ~ADDRESSED) == ROLE_OUT) copy(to, bytes, segment->length);
    }
    barrier();
    if (sent) WORD(u64, LAYOUT_OUTPUT_HEAD) = output + piece;
    barrier();
    WORD(u64, LAYOUT_TAIL) = tail + head.length;
    /* From here on the tracer may let the process go on from the frame. */
    frame->rax = (u64)result;
    barrier();
    WORD(u64, LAYOUT_TAKEN)++;
    WORD(u64, LAYOUT_CALLS)++;
    /* Never ahead: what follows the call is executed when the log says that it happened. */
    (void)await_record(1);
    return 1;
}
