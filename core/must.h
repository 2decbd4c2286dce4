/* core/must.h: must(): assertions that stay on in a release build. They check our own logic only, never a
 * peer's bytes, a system call or an allocation.
 *
 * Threads: any. */
#ifndef TERN_CORE_MUST_H
#define TERN_CORE_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define must(condition)                                                                                      \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0)) {                                                             \
            fprintf(stderr, "%s:%d: %s: must hold: %s\n", __FILE__, __LINE__, __func__, #condition);         \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#endif
