/* bench/torture_codes.h: codes for the further devices of an account. Its first device asks for them, before
 * it is put under torture.
 *
 * Threads: any.  Memory: the caller's. */
#ifndef TERN_BENCH_TORTURE_CODES_H
#define TERN_BENCH_TORTURE_CODES_H

#include <stdint.h>

#include "core/frame.h"
#include "tools/client/uri.h"

/* Links the device of this home, with the code of the URI, and asks for `count` codes. The home does not know
 * that it is linked: it will link again, with the same code and key. 0 or negative errno. */
int torture_codes(const char *home, const struct uri *uri, uint32_t count,
                  uint8_t (*ret_codes)[FRAME_CODE_BYTES]);

#endif
