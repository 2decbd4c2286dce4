/* GHASH multiplies bit-reflected numbers (Gueron and Kounavis, "Intel Carry-Less Multiplication Instruction
 * and its Usage for Computing the GCM Mode"): blocks are byte-reversed, powers of H are kept divided by x, so
 * that a product needs no shift, and a group of blocks is multiplied by as many powers and reduced once. */
#include "core/aesgcm.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define WIDE __attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))
#define WIDE_INLINE WIDE static inline __attribute__((always_inline))

#define BLOCK 16
#define ROUNDS 14
#define GROUP 16 /* blocks that are reduced together */
#define PAIRS (GROUP / 2)
#define POWERS 18 /* what remains behind the groups may be as many blocks, and the lengths */
#define CPUID_LEAF 7
#define CPUID_VAES (1u << 9)
#define CPUID_VPCLMULQDQ (1u << 10)

struct schedule {
    __m128i round[ROUNDS + 1];
    __m128i power[POWERS + 1]; /* [POWERS - n]: the nth power of H, divided by x; [POWERS]: 0 */
};

static bool available;

void aesgcm_init(void) {
    unsigned a, b, c = 0, d;
    bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
               __get_cpuid_count(CPUID_LEAF, 0, &a, &b, &c, &d);
    available = has && (c & CPUID_VAES) && (c & CPUID_VPCLMULQDQ);
}

bool aesgcm_available(void) {
    return available;
}

/* --- AES ------------------------------------------------------------------------------------------------ */

WIDE_INLINE __m128i mix_key(__m128i key, __m128i with) {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, with);
}

/* FIPS 197, section 5.2; the round constant is a part of the instruction. */
#define EXPAND_EVEN(at, constant)                                                                            \
    even = mix_key(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, constant), 0xff));                 \
    schedule->round[at] = even
#define EXPAND_ODD(at)                                                                                       \
    odd = mix_key(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xaa));                         \
    schedule->round[at] = odd

WIDE_INLINE void expand(const uint8_t key[AESGCM_KEY_BYTES], struct schedule *schedule) {
    __m128i even = _mm_loadu_si128((const __m128i *)(const void *)key);
    __m128i odd = _mm_loadu_si128((const __m128i *)(const void *)(key + BLOCK));
    schedule->round[0] = even;
    schedule->round[1] = odd;
    EXPAND_EVEN(2, 0x01);
    EXPAND_ODD(3);
    EXPAND_EVEN(4, 0x02);
    EXPAND_ODD(5);
    EXPAND_EVEN(6, 0x04);
    EXPAND_ODD(7);
    EXPAND_EVEN(8, 0x08);
    EXPAND_ODD(9);
    EXPAND_EVEN(10, 0x10);
    EXPAND_ODD(11);
    EXPAND_EVEN(12, 0x20);
    EXPAND_ODD(13);
    EXPAND_EVEN(14, 0x40);
}

WIDE_INLINE __m256i round_key(const struct schedule *schedule, int round) {
    return _mm256_broadcastsi128_si256(schedule->round[round]);
}

WIDE_INLINE void encrypt(const struct schedule *schedule, __m256i *pairs, int count) {
    __m256i key = round_key(schedule, 0);
    for (int i = 0; i < count; i++)
        pairs[i] = _mm256_xor_si256(pairs[i], key);
#pragma GCC unroll 14
    for (int round = 1; round < ROUNDS; round++) {
        key = round_key(schedule, round);
#pragma GCC unroll 8
        for (int i = 0; i < count; i++)
            pairs[i] = _mm256_aesenc_epi128(pairs[i], key);
    }
    key = round_key(schedule, ROUNDS);
    for (int i = 0; i < count; i++)
        pairs[i] = _mm256_aesenclast_epi128(pairs[i], key);
}

/* Counters are kept little-endian and turned when they are used. The next `count` pairs of key stream. */
WIDE_INLINE void key_stream(const struct schedule *schedule, __m256i *counter, __m256i *pairs, int count) {
    const __m256i turn =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 14, 13, 12));
    const __m256i two = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0, 0, 2));
#pragma GCC unroll 8
    for (int i = 0; i < count; i++) {
        pairs[i] = _mm256_shuffle_epi8(*counter, turn);
        *counter = _mm256_add_epi32(*counter, two);
    }
    encrypt(schedule, pairs, count);
}

/* --- GHASH ---------------------------------------------------------------------------------------------- */

WIDE_INLINE __m256i load(const void *at) {
    return _mm256_loadu_si256((const __m256i *)at);
}

WIDE_INLINE void store(uint8_t *at, __m256i pair) {
    _mm256_storeu_si256((__m256i *)(void *)at, pair);
}

struct product {
    __m256i low, middle, high;
};

WIDE_INLINE __m256i reversed(__m256i pair) {
    return _mm256_shuffle_epi8(pair, _mm256_broadcastsi128_si256(_mm_setr_epi8(15, 14, 13, 12, 11, 10, 9, 8,
                                                                               7, 6, 5, 4, 3, 2, 1, 0)));
}

WIDE_INLINE void multiply_add(struct product *sum, __m256i a, __m256i b) {
    sum->low = _mm256_xor_si256(sum->low, _mm256_clmulepi64_epi128(a, b, 0x00));
    sum->middle = _mm256_xor_si256(sum->middle, _mm256_xor_si256(_mm256_clmulepi64_epi128(a, b, 0x01),
                                                                 _mm256_clmulepi64_epi128(a, b, 0x10)));
    sum->high = _mm256_xor_si256(sum->high, _mm256_clmulepi64_epi128(a, b, 0x11));
}

/* Modulo x^128 + x^7 + x^2 + x + 1, reflected: the lowest 64 bits are folded onto those above, twice. */
WIDE_INLINE __m256i reduce(const struct product *sum) {
    const __m256i fold = _mm256_set1_epi64x((long long)0xc200000000000000u);
    __m256i once = _mm256_xor_si256(_mm256_xor_si256(_mm256_shuffle_epi32(sum->low, 0x4e), sum->middle),
                                    _mm256_clmulepi64_epi128(sum->low, fold, 0x00));
    return _mm256_xor_si256(_mm256_xor_si256(_mm256_shuffle_epi32(once, 0x4e), sum->high),
                            _mm256_clmulepi64_epi128(once, fold, 0x00));
}

WIDE_INLINE __m256i multiply(__m256i a, __m256i b) {
    struct product product = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    multiply_add(&product, a, b);
    return reduce(&product);
}

WIDE_INLINE __m128i divide_by_x(__m128i number) {
    __m128i carry = _mm_srli_epi64(number, 63);
    __m128i shifted = _mm_or_si128(_mm_slli_epi64(number, 1), _mm_slli_si128(carry, 8));
    __m128i mask = _mm_srai_epi32(_mm_shuffle_epi32(number, 0xff), 31);
    return _mm_xor_si128(shifted, _mm_and_si128(mask, _mm_set_epi64x((long long)0xc200000000000000u, 1)));
}

WIDE_INLINE void keep_powers(struct schedule *schedule, int highest, __m256i pair) {
    _mm256_storeu_si256((__m256i *)(void *)&schedule->power[POWERS - highest], pair);
}

WIDE_INLINE __m256i higher(__m256i pair) {
    return _mm256_broadcastsi128_si256(_mm256_castsi256_si128(pair));
}

/* As many powers as the largest group of this call has blocks. */
WIDE_INLINE void make_powers(struct schedule *schedule, __m128i h, size_t blocks) {
    __m256i first = _mm256_broadcastsi128_si256(divide_by_x(h));
    __m256i two =
        _mm256_blend_epi32(multiply(first, first), first, 0xf0); /* the second power and the first */
    schedule->power[POWERS] = _mm_setzero_si128();
    keep_powers(schedule, 2, two);
    if (blocks <= 2)
        return;
    __m256i four = multiply(two, higher(two));
    keep_powers(schedule, 4, four);
    if (blocks <= 4)
        return;
    __m256i six = multiply(two, higher(four)), eight = multiply(four, higher(four));
    keep_powers(schedule, 6, six);
    keep_powers(schedule, 8, eight);
    if (blocks <= 8)
        return;
    keep_powers(schedule, 10, multiply(two, higher(eight)));
    keep_powers(schedule, 12, multiply(four, higher(eight)));
    keep_powers(schedule, 14, multiply(six, higher(eight)));
    __m256i sixteen = multiply(eight, higher(eight));
    keep_powers(schedule, 16, sixteen);
    keep_powers(schedule, 18, multiply(two, higher(sixteen)));
}

WIDE_INLINE __m128i both_lanes(const struct product *sum) {
    __m256i both = reduce(sum);
    return _mm_xor_si128(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
}

WIDE_INLINE __m128i hash_group(const struct schedule *schedule, __m128i hash, const uint8_t *blocks) {
    struct product sum = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const __m128i *powers = &schedule->power[POWERS - GROUP];
    __m256i carried = _mm256_zextsi128_si256(hash);
#pragma GCC unroll 8
    for (int i = 0; i < PAIRS; i++) {
        __m256i pair = _mm256_xor_si256(reversed(load(blocks + i * 2 * BLOCK)), carried);
        multiply_add(&sum, pair, load(powers + i * 2));
        carried = _mm256_setzero_si256();
    }
    return both_lanes(&sum);
}

/* --- GCM ------------------------------------------------------------------------------------------------ */

/* Less than two blocks, through memory of its own. Returns the sealed bytes, with zeros behind them. */
WIDE_INLINE __m256i crypt_part(const uint8_t *in, size_t bytes, uint8_t *out, __m256i stream, bool seals) {
    uint8_t blocks[2 * BLOCK] = {0}, crypted[2 * BLOCK];
    memcpy(blocks, in, bytes);
    __m256i pair = load(blocks);
    store(crypted, _mm256_xor_si256(pair, stream));
    memcpy(out, crypted, bytes);
    if (!seals)
        return pair;
    memcpy(blocks, crypted, bytes);
    return load(blocks);
}

/* What is less than a group, and the lengths. */
WIDE_INLINE __m128i last_group(const struct schedule *schedule, __m128i hash, __m256i counter,
                               const uint8_t *in, size_t bytes, size_t all_bytes, uint8_t *out, bool seals) {
    struct product sum = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const __m128i *powers = &schedule->power[POWERS - 1 - (bytes + BLOCK - 1) / BLOCK];
    __m128i lengths = _mm_set_epi64x(0, (long long)all_bytes * 8); /* reversed */
    __m256i carried = _mm256_zextsi128_si256(hash), stream;
    for (; bytes >= 2 * BLOCK; bytes -= 2 * BLOCK) {
        __m256i pair = load(in);
        key_stream(schedule, &counter, &stream, 1);
        __m256i crypted = _mm256_xor_si256(pair, stream);
        multiply_add(&sum, _mm256_xor_si256(reversed(seals ? crypted : pair), carried), load(powers));
        store(out, crypted);
        carried = _mm256_setzero_si256();
        in += 2 * BLOCK;
        out += 2 * BLOCK;
        powers += 2;
    }
    if (bytes) {
        key_stream(schedule, &counter, &stream, 1);
        __m256i pair = reversed(crypt_part(in, bytes, out, stream, seals));
        if (bytes <= BLOCK)
            pair = _mm256_inserti128_si256(pair, lengths, 1);
        multiply_add(&sum, _mm256_xor_si256(pair, carried), load(powers));
        carried = _mm256_setzero_si256();
        powers += 2;
    }
    if (bytes == 0 || bytes > BLOCK)
        multiply_add(&sum, _mm256_xor_si256(_mm256_zextsi128_si256(lengths), carried), load(powers));
    return both_lanes(&sum);
}

/* SP 800-38D, sections 7.1 and 7.2. Returns the tag. */
WIDE_INLINE __m128i crypt(struct schedule *schedule, const uint8_t *nonce, const uint8_t *in, size_t bytes,
                          uint8_t *out, bool seals) {
    uint8_t start[BLOCK] = {0};
    memcpy(start, nonce, AESGCM_NONCE_BYTES);
    __m128i number = _mm_loadu_si128((const __m128i *)(const void *)start);
    __m256i first = _mm256_inserti128_si256(_mm256_setzero_si256(),
                                            _mm_or_si128(number, _mm_setr_epi32(0, 0, 0, 1 << 24)), 1);
    encrypt(schedule, &first, 1); /* H, and what hides the tag */
    make_powers(schedule, _mm256_castsi256_si128(reversed(first)), bytes / BLOCK + 2);
    __m256i counter =
        _mm256_or_si256(_mm256_broadcastsi128_si256(number), _mm256_setr_epi32(0, 0, 0, 2, 0, 0, 0, 3));
    __m128i hash = _mm_setzero_si128();
    size_t left = bytes;
    for (; left >= GROUP * BLOCK; left -= GROUP * BLOCK) {
        __m256i pairs[PAIRS];
        if (!seals)
            hash = hash_group(schedule, hash, in);
        key_stream(schedule, &counter, pairs, PAIRS);
#pragma GCC unroll 8
        for (int i = 0; i < PAIRS; i++)
            store(out + i * 2 * BLOCK, _mm256_xor_si256(pairs[i], load(in + i * 2 * BLOCK)));
        if (seals)
            hash = hash_group(schedule, hash, out);
        in += GROUP * BLOCK;
        out += GROUP * BLOCK;
    }
    hash = last_group(schedule, hash, counter, in, left, bytes, out, seals);
    __m256i tag = reversed(_mm256_zextsi128_si256(hash));
    return _mm_xor_si128(_mm256_castsi256_si128(tag), _mm256_extracti128_si256(first, 1));
}

WIDE void aesgcm_seal(const uint8_t key[AESGCM_KEY_BYTES], const uint8_t nonce[AESGCM_NONCE_BYTES],
                      const uint8_t *text, size_t bytes, uint8_t *out) {
    struct schedule schedule;
    expand(key, &schedule);
    __m128i tag = crypt(&schedule, nonce, text, bytes, out, true);
    _mm_storeu_si128((__m128i *)(void *)(out + bytes), tag);
    sodium_memzero(&schedule, sizeof(schedule));
}

WIDE int aesgcm_open(const uint8_t key[AESGCM_KEY_BYTES], const uint8_t nonce[AESGCM_NONCE_BYTES],
                     uint8_t *sealed, size_t bytes) {
    struct schedule schedule;
    uint8_t tag[AESGCM_TAG_BYTES];
    expand(key, &schedule);
    _mm_storeu_si128((__m128i *)(void *)tag, crypt(&schedule, nonce, sealed, bytes, sealed, false));
    bool is_right = sodium_memcmp(tag, sealed + bytes, AESGCM_TAG_BYTES) == 0;
    sodium_memzero(&schedule, sizeof(schedule));
    if (!is_right)
        memset(sealed, 0, bytes);
    return is_right ? 0 : -EBADMSG;
}

#else

void aesgcm_init(void) {
}

bool aesgcm_available(void) {
    return false;
}

void aesgcm_seal(const uint8_t key[AESGCM_KEY_BYTES], const uint8_t nonce[AESGCM_NONCE_BYTES],
                 const uint8_t *text, size_t bytes, uint8_t *out) {
    (void)key, (void)nonce, (void)text, (void)bytes, (void)out;
    must(false);
}

int aesgcm_open(const uint8_t key[AESGCM_KEY_BYTES], const uint8_t nonce[AESGCM_NONCE_BYTES], uint8_t *sealed,
                size_t bytes) {
    (void)key, (void)nonce, (void)sealed, (void)bytes;
    must(false);
    return -EBADMSG;
}

#endif
