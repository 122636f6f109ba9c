/* What a call reads: its digest, as common::syscall::gather has it; whether the call is one for the interceptor. */

#pragma once

#include "base.h"
#include "digest.h"

/* Bytes that a pointer covers, as far as that is known before the call. */
static u64 known_length(const struct pointer *pointer, const u64 *args) {
    u64 length;
    switch (pointer->length) {
    case LENGTH_FIXED:
        return pointer->scale;
    case LENGTH_ARG:
        return (args[pointer->other] & 0xffffffff) * pointer->scale;
    case LENGTH_FDSET:
        length = (i64)(int32_t)args[0] > 0 ? args[0] & 0x7fffffff : 0;
        return (length + 63) / 64 * 8;
    default:
        return 0;
    }
}

/* Length of a string with a bound; it is read, so that it is there. */
static u64 string_length(const u8 *at) {
    u64 length = 0;
    while (length < MAX_STRING && ((const volatile u8 *)at)[length]) length++;
    return length;
}

/* The buffers that a vector or a message names. */
static const struct iovec *buffers_of(const struct pointer *pointer, const u64 *args, u64 *count) {
    u64 at = args[pointer->arg];
    if (pointer->length == LENGTH_MSGHDR) {
        const struct message *message = (const struct message *)(uintptr_t)at;
        *count = message->count;
        return message->buffers;
    }
    *count = args[pointer->other];
    return (const struct iovec *)(uintptr_t)at;
}

/* Options of which the model knows all that there is to know from their arguments. */
static int is_simple_option(u32 level, u32 option) {
    switch (level) {
    case 1: /* SOL_SOCKET: SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_LINGER */
        return option == 7 || option == 8 || option == 9 || option == 13;
    case 6: /* IPPROTO_TCP: TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_QUICKACK */
        return option == 1 || (option >= 3 && option <= 6) || option == 12;
    default:
        return 0;
    }
}

/* Whether a path begins with /proc or /dev, where names mean other files in another process: the tracer resolves it. */
static int is_process_file(const volatile u8 *path) {
    if (!path || path[0] != '/') return 0;
    if (path[1] == 'd') return path[2] == 'e' && path[3] == 'v';
    return path[1] == 'p' && path[2] == 'r' && path[3] == 'o' && path[4] == 'c';
}

/* A message of data alone. */
static int is_simple_message(const struct message *message) {
    int names = message->name && message->name_length;
    int controls = message->control && message->control_length;
    return !names && !controls && message->count <= MAX_IOVEC;
}

/* Whether all that the pointers cover is known before the call and fits into a record. */
static int are_simple_pointers(const struct call *call, const u64 *args) {
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        /* A time left may be written where the time was read. */
        int outside = pointer->length == LENGTH_OTHER || pointer->direction == DIRECTION_OUT_ALWAYS;
        if (outside && args[pointer->arg]) return 0;
        if (pointer->length == LENGTH_IOVEC && args[pointer->other] > MAX_IOVEC) return 0;
        if (known_length(pointer, args) > LAYOUT_MAX_RECORD) return 0;
    }
    return 1;
}

/* Whether the call can be handled in process as far as its arguments tell. */
static int is_simple(const struct call *call, const u64 *args) {
    EACH_BIT(i, call->outside_unless_zero)
        if (args[i]) return 0;
    if (call->flags_arg < 6 && (u32)args[call->flags_arg] & ~call->flags) return 0;
    switch ((enum look)call->look) {
    case LOOK_NOTHING:
        return 1;
    case LOOK_POINTERS:
        return are_simple_pointers(call, args);
    case LOOK_ADDRESS:
        return !args[1] || args[2];
    case LOOK_CLOCK:
        return (u32)args[0] < LAYOUT_CLOCKS;
    case LOOK_FCNTL: /* F_GETFD, F_SETFD, F_GETFL, F_SETFL */
        return args[1] >= 1 && args[1] <= 4;
    case LOOK_FUTEX: /* FUTEX_WAKE, private or not */
        return ((u32)args[1] & ~128u) == 1;
    case LOOK_IOCTL: /* FIONBIO */
        return args[1] == 0x5421;
    case LOOK_MESSAGE:
        return args[1] && is_simple_message((const struct message *)(uintptr_t)args[1]);
    case LOOK_OPTION:
        return is_simple_option((u32)args[1], (u32)args[2]) && (u32)args[4] <= MAX_OPTION;
    case LOOK_PATH:
        return !is_process_file((const u8 *)(uintptr_t)args[pointers[call->first].arg]);
    case LOOK_SIGNALS:
        return args[3] == 8;
    }
    return 0;
}

/* The digest of what replay recomputes and the call reads at its beginning. */
static struct digest digest_inputs(const struct call *call, const struct frame *frame) {
    const u64 *args = frame->args;
    struct digest digest = digest_registers(frame);
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        const u8 *at = (const u8 *)(uintptr_t)args[pointer->arg];
        if (at && pointer->length == LENGTH_MSGHDR) digest_bytes(&digest, at, sizeof(struct message));
        if (at && (pointer->direction == DIRECTION_DIGEST || pointer->direction == DIRECTION_INOUT))
            digest_bytes(&digest, at, known_length(pointer, args));
    }
    return digest;
}

/* The buffers that a call sends, up to its result, into the digest; their bytes into the output ring behind `output`, if that is not null. */
static void digest_bulk(struct digest *digest, const struct call *call, const u64 *args, u64 total, u8 *output) {
    const struct pointer *pointer = &pointers[call->first + call->bulk];
    const u8 *at = (const u8 *)(uintptr_t)args[pointer->arg];
    if (!at || !total) return;
    if (pointer->length != LENGTH_IOVEC && pointer->length != LENGTH_MSGHDR) {
        digest_bytes(digest, at, total);
        if (output) copy(output, at, total);
        return;
    }
    u64 count;
    const struct iovec *vector = buffers_of(pointer, args, &count);
    for (u64 i = 0; i < count && total; i++) {
        u64 length = vector[i].length < total ? vector[i].length : total;
        total -= length;
        if (!length) continue;
        digest_bytes(digest, (const u8 *)(uintptr_t)vector[i].address, length);
        if (output) {
            copy(output, (const u8 *)(uintptr_t)vector[i].address, length);
            output += length;
        }
    }
}
