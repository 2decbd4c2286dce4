/* tools/client/e2e/safety.h: the safety number of two accounts: 60 digits, the same on both sides, for people
 * to compare. Signal's numeric fingerprint, version 0 (NumericFingerprintGenerator of
 * libsignal-protocol-java): of each side SHA-512 5,200 times over the key, 30 bytes of it as six numbers of
 * five digits; the smaller half first.
 *
 * Over the account keys and the account numbers, which are never given to another; names may be.
 *
 * Threads: pure; takes some milliseconds.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_E2E_SAFETY_H
#define TERN_TOOLS_CLIENT_E2E_SAFETY_H

#include "tools/client/e2e/identity.h"

#define SAFETY_HALF_DIGITS 30
#define SAFETY_DIGITS 60

/* One side's half. key: encoded; id: what names the side, at most 64 bytes. Ends with a zero byte. */
void safety_half(const uint8_t *key, size_t key_bytes, const uint8_t *id, size_t id_bytes,
                 char ret_digits[SAFETY_HALF_DIGITS + 1]);
/* Digits without spaces, then a zero byte. */
void safety_number(uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES], uint64_t other_account,
                   const uint8_t other_account_key[IDENTITY_KEY_BYTES], char ret_digits[SAFETY_DIGITS + 1]);

#endif
