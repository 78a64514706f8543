/* Lets system calls fail as on filesystems that lack them: FAULTS="flock=37,link=1" in the environment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fault(const char *name) {
    const char *faults = getenv("FAULTS");
    size_t length = strlen(name);
    for (const char *at = faults; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, name, length) && at[length] == '=')
            return atoi(at + length + 1);
    return 0;
}

#define FAIL_OR_CALL(name, type, ...)                                     \
    int number = fault(#name);                                            \
    if (number) {                                                         \
        errno = number;                                                   \
        return -1;                                                        \
    }                                                                     \
    return ((type)dlsym(RTLD_NEXT, __func__))(__VA_ARGS__)

int flock(int file, int operation) { FAIL_OR_CALL(flock, int (*)(int, int), file, operation); }
int fsync(int file) { FAIL_OR_CALL(fsync, int (*)(int), file); }
int link(const char *from, const char *to) { FAIL_OR_CALL(link, int (*)(const char *, const char *), from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    FAIL_OR_CALL(link, int (*)(int, const char *, int, const char *, int), a, from, b, to, flags);
}
int symlink(const char *to, const char *at) { FAIL_OR_CALL(symlink, int (*)(const char *, const char *), to, at); }
int symlinkat(const char *to, int folder, const char *at) {
    FAIL_OR_CALL(symlink, int (*)(const char *, int, const char *), to, folder, at);
}
