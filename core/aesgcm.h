/* core/aesgcm.h: AES-256-GCM (NIST SP 800-38D) without associated data, two blocks to an instruction, for
 * CPUs that have the instructions (VAES and VPCLMULQDQ with AVX2: Zen 3, Ice Lake and later). libsodium's,
 * which cipher.c takes on all others and which the tests compare this with, takes a block at a time: on
 * records with many frames that is four to five times as long, and was the largest part of what a message
 * costs.
 *
 * The key is expanded for each call: that takes about as long as to fetch an expanded one from memory where
 * there are many connections, and a connection need not keep it. No branch and no address depends on a
 * secret.
 *
 * Threads: pure, after aesgcm_init.  Memory: the caller's; what is made of the key is wiped before the
 * return. */
#ifndef TERN_CORE_AESGCM_H
#define TERN_CORE_AESGCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AESGCM_KEY_BYTES 32
#define AESGCM_NONCE_BYTES 12
#define AESGCM_TAG_BYTES 16

/* Looks what the CPU has; once per process, before the rest. */
void aesgcm_init(void);
/* False: seal and open must not be called here. */
bool aesgcm_available(void);
/* Writes `bytes` sealed bytes and the tag to `out`, which is `text` itself or does not overlap it. */
void aesgcm_seal(const uint8_t key[AESGCM_KEY_BYTES], const uint8_t nonce[AESGCM_NONCE_BYTES],
                 const uint8_t *text, size_t bytes, uint8_t *out);
/* Opens `bytes` bytes, which the tag follows, in place. 0; -EBADMSG: they do not authenticate, and are
 * zero now. */
int aesgcm_open(const uint8_t key[AESGCM_KEY_BYTES], const uint8_t nonce[AESGCM_NONCE_BYTES], uint8_t *sealed,
                size_t bytes);

#endif
