/* core/version.h: the version of tern, which every program prints and the switch's status names.
 *
 * Threads: a constant, any thread. */
#ifndef TERN_CORE_VERSION_H
#define TERN_CORE_VERSION_H

#define TERN_VERSION "0.1.0"

#endif
