#include "bench/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The value of the first line of the file that begins with key, without quotes; out stays where there is
 * none. */
static void find_value(const char *path, const char *key, char separator, char out[MACHINE_TEXT_BYTES]) {
    char line[512];
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        char *value = strncmp(line, key, strlen(key)) == 0 ? strchr(line, separator) : NULL;
        if (!value)
            continue;
        value += 1 + strspn(value + 1, " \t\"");
        value[strcspn(value, "\"\n")] = 0;
        snprintf(out, MACHINE_TEXT_BYTES, "%.*s", MACHINE_TEXT_BYTES - 1, value);
        break;
    }
    if (file)
        fclose(file);
}

void machine_describe(struct machine *ret_machine) {
    struct machine machine = {.cpu = "unknown", .kernel = "unknown", .system = "unknown"};
    find_value("/proc/cpuinfo", "model name", ':', machine.cpu);
    find_value("/etc/os-release", "PRETTY_NAME", '=', machine.system);
    struct utsname names;
    if (uname(&names) == 0)
        snprintf(machine.kernel, sizeof(machine.kernel), "%.40s %.60s %.20s", names.sysname, names.release,
                 names.machine);
    machine.cores = sysconf(_SC_NPROCESSORS_ONLN);
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    machine.memory_bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
    *ret_machine = machine;
}

void machine_package_version(const char *package, char out[MACHINE_TEXT_BYTES]) {
    char command[MACHINE_TEXT_BYTES + 64];
    snprintf(command, sizeof(command), "dpkg-query -W -f '${Version}' '%s' 2>/dev/null", package);
    FILE *said = popen(command, "re");
    if (!said || !fgets(out, MACHINE_TEXT_BYTES, said))
        snprintf(out, MACHINE_TEXT_BYTES, "unknown");
    if (said)
        pclose(said);
}

/* /proc/PID/stat, proc(5): fields 14 and 15 are user and system time; the second, the name, may hold anything
 * but ends with the last ')'. */
int machine_cpu_ns(pid_t pid, uint64_t *ret_ns) {
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file)
        return -ESRCH;
    char *at = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    fclose(file);
    for (int field = 2; at && field < 14; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return -ESRCH;
    char *end;
    unsigned long long user = strtoull(at, &end, 10), kernel = strtoull(end, NULL, 10);
    *ret_ns = (user + kernel) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
    return 0;
}

static uint64_t number_in(const char *path, const char *key, uint64_t scale) {
    char text[MACHINE_TEXT_BYTES] = "0";
    find_value(path, key, ':', text);
    return strtoull(text, NULL, 10) * scale;
}

/* /proc/slabinfo, slabinfo(5): name, objects in use, objects, bytes of one, objects a slab, pages a slab.
 * Each object in use is charged its part of the slab. 0 where it can't be read. */
static uint64_t slab_object_bytes(void) {
    char line[512];
    double bytes = 0;
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/slabinfo", "re");
    while (file && fgets(line, sizeof(line), file)) {
        unsigned long used, per_slab, pages;
        if (sscanf(line, "%*s %lu %*u %*u %lu %lu", &used, &per_slab, &pages) == 3 && per_slab)
            bytes += (double)used * page_bytes * (double)pages / (double)per_slab;
    }
    if (file)
        fclose(file);
    return (uint64_t)bytes;
}

void machine_memory(pid_t pid, struct machine_memory *ret_memory) {
    char status[64], io[64];
    snprintf(status, sizeof(status), "/proc/%d/status", (int)pid);
    snprintf(io, sizeof(io), "/proc/%d/io", (int)pid);
    uint64_t object_bytes = slab_object_bytes();
    *ret_memory = (struct machine_memory){
        .user_bytes = number_in(status, "RssAnon", 1024),
        .kernel_bytes = object_bytes ? object_bytes : number_in("/proc/meminfo", "Slab", 1024),
        .written_bytes = number_in(io, "wchar", 1),
    };
}
