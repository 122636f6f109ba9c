/* The digest of a record's check: common/src/digest.rs, word by word. */

struct digest {
    u64 state;
};

static inline u64 digest_fold(u64 x, u64 y) {
    unsigned __int128 product = (unsigned __int128)x * y;
    return (u64)product ^ (u64)(product >> 64);
}

#define DIGEST_TURNED(key, by) ((key) << (by) | (key) >> ((64 - (by)) % 64))
#define DIGEST_FOLDED(by, x, y) digest_fold((x) ^ DIGEST_TURNED(DIGEST_A, by), (y) ^ DIGEST_TURNED(DIGEST_B, by))
#define DIGEST_PAIR(x, y) ((x) ^ DIGEST_TURNED(y, 29))

/* The registers that the server has at its call: four multiplications that do not wait for each other. rcx is where the call returns to. */
static inline struct digest digest_registers(const struct frame *frame) {
    const u64 *args = frame->args, *others = frame->others;
    u64 state = DIGEST_SEED;
    state ^= DIGEST_FOLDED(0, DIGEST_PAIR(args[0], args[1]), DIGEST_PAIR(args[2], args[3]));
    state ^= DIGEST_FOLDED(8, DIGEST_PAIR(args[4], args[5]), DIGEST_PAIR(others[0], others[1]));
    state ^= DIGEST_FOLDED(16, DIGEST_PAIR(others[2], others[3]), DIGEST_PAIR(others[4], others[5]));
    state ^= DIGEST_FOLDED(24, others[6], frame->rsp);
    return (struct digest){state};
}

static inline void digest_block(struct digest *digest, u64 x, u64 y) {
    u64 state = digest->state;
    digest->state = digest_fold(state ^ x ^ DIGEST_A, (state << 32 | state >> 32) ^ y ^ DIGEST_B);
}

static inline void digest_word(struct digest *digest, u64 value) { digest_block(digest, value, 0); }

static void digest_bytes(struct digest *digest, const u8 *at, u64 length) {
    u64 left = length;
    for (; left >= 16; left -= 16, at += 16) digest_block(digest, load(at), load(at + 8));
    if (left >= 8)
        digest_block(digest, load(at), rest(at + 8, left - 8));
    else if (left)
        digest_block(digest, rest(at, left), 0);
    digest_word(digest, length ^ DIGEST_C);
}

static inline u64 digest_finish(const struct digest *digest) { return digest->state; }
