/* tools/client/e2e/padding.h: lengths that say little: a text is padded to PADDING_BYTES_MIN, or above that
 * to the next length of Padmé, which lets nobody learn more of a length than O(log log) bits and adds at most
 * 12 %: Nikitin and others, "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
 * 2019, section 4, https://arxiv.org/abs/1806.03160. Behind the text come one byte 0x80 and zeros (ISO/IEC
 * 7816-4), taken off in constant time.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_E2E_PADDING_H
#define TERN_TOOLS_CLIENT_E2E_PADDING_H

#include <stddef.h>
#include <stdint.h>

#define PADDING_BYTES_MIN 256u

/* The padded bytes of so many; no more than padded_bytes_max, where the padding is cut short. 0: they do not
 * fit (text_bytes >= padded_bytes_max). */
size_t padding_bytes(size_t text_bytes, size_t padded_bytes_max);
/* text holds text_bytes and has room for padded_bytes, which padding_bytes said. */
void padding_add(uint8_t *text, size_t text_bytes, size_t padded_bytes);
/* 0; -EBADMSG: not padded. */
int padding_remove(const uint8_t *text, size_t padded_bytes, size_t *ret_text_bytes);

#endif
