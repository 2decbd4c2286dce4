/* tools/ternd/hints.h: what to type next, for a person who started the switch by `make run`.
 *
 * Threads: the main thread.  Memory: none. */
#ifndef TERN_TOOLS_TERND_HINTS_H
#define TERN_TOOLS_TERND_HINTS_H

/* Prints them where TERN_HINTS=1 is set. program: argv[0], whose folder has the other programs. */
void hints_print(const char *program, const char *admin);

#endif
