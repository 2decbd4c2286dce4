/* storage/guard.h: keeps the process alive where the disk does not give a page of a mapped file.
 *
 * Reading such a page is SIGBUS (a bad sector, a file cut short, no room for a hole). The handler looks up
 * whose map it is; of none here: what would have happened without it happens. Otherwise it marks the map as
 * failed, takes from its owner the means to write, puts a page of its own in the place of the one that is
 * missing, and returns. The reader goes on with what is not in the file, and finds out when it asks: who
 * reads a map asks guard_failed after he has read and before he believes it. That never changes back while
 * the map is open.
 *
 * The page in its place is made for LMDB 0.9 (its mdb.c was read for this). It is a branch and a leaf, so
 * that what LMDB asserts of either holds. All its nodes lead to a page beyond the end: a way down the tree
 * ends there with an error. Every slot, and every place where a node was, has a node, so that a cursor that
 * stood on the page before finds one. It has room, should a change that was begun put something there, into
 * its copy. As a list of free pages it has none, and as a value no checksum matches it. A page of zeros would
 * not do: it has 2^32 - 8 keys. In the place of the first two pages the tables are empty.
 *
 * While the map is copied it is a leaf only, since LMDB's copying goes by the flag of a branch alone. Then,
 * or where the rest is missing of a list of free pages that is longer than a page, an assertion of LMDB's can
 * still end the process: as a power cut would, with nothing lost.
 *
 * Threads: open and close: the map's owner, nobody else using the map; the rest: any.  Memory: a table of its
 * own. */
#ifndef TERN_STORAGE_GUARD_H
#define TERN_STORAGE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct guard;

/* Guards the map of so many bytes that this process has of an open file. page_bytes: of the file's format, a
 * power of two, at most 32768. The descriptor stays the caller's; after a failure it is one that can neither
 * write nor sync, so that nothing made of missing pages can be committed. -ENOENT: there is no such map;
 * -EMFILE: too many are guarded; others from the system. */
int guard_open(int fd, size_t bytes, size_t page_bytes, struct guard **ret_guard);
/* Before the map is taken down. NULL: nothing. */
void guard_close(struct guard *guard);
/* True from the moment on that a page was missing. NULL: false. */
bool guard_failed(const struct guard *guard);
/* A descriptor for writing a copy of the map to the file that `fd` is open on; one at a time. It stops
 * writing when the map fails. Negative errno. */
int guard_lend(struct guard *guard, int fd);
void guard_give_back(struct guard *guard);

#endif
