/* Makes system calls on files under a folder fail, as a disk or a network file system does.
 *
 * Loaded before the C library (LD_PRELOAD); dormant until `torture_arm` is called. From the n-th
 * call of a chosen kind on a path under the folder, all further ones of that kind fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, LOCK = 16, READ = 32, MAKE = 64 };

static int armed_kinds, armed_error;
static long armed_after;
static char armed_folder[4096];

void torture_arm(int kinds, int error, long after, const char *folder) {
    strncpy(armed_folder, folder, sizeof armed_folder - 1);
    armed_error = error;
    armed_after = after;
    armed_kinds = kinds;
}

static int fails(int kind, const char *path) {
    if (!(armed_kinds & kind) || !path || strncmp(path, armed_folder, strlen(armed_folder)))
        return 0;
    if (__sync_fetch_and_sub(&armed_after, 1) > 0)
        return 0;
    errno = armed_error;
    return 1;
}

static int fails_fd(int kind, int fd) {
    char link[64], path[4096];
    if (!(armed_kinds & kind))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = before;
    if (n < 0)
        return 0;
    path[n] = 0;
    return fails(kind, path);
}

/* Relative paths are taken as they are: trials name absolute ones. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENER(name)                                                                    \
    int name(const char *path, int flags, ...) {                                        \
        va_list rest;                                                                   \
        va_start(rest, flags);                                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;         \
        va_end(rest);                                                                   \
        return fails(OPEN, path) ? -1 : NEXT(name)(path, flags, mode);                  \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                                                 \
    int name(int at, const char *path, int flags, ...) {                                \
        va_list rest;                                                                   \
        va_start(rest, flags);                                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;         \
        va_end(rest);                                                                   \
        return fails(OPEN, path) ? -1 : NEXT(name)(at, path, flags, mode);              \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

ssize_t write(int fd, const void *data, size_t n) {
    return fails_fd(WRITE, fd) ? -1 : NEXT(write)(fd, data, n);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    return fails_fd(WRITE, fd) ? -1 : NEXT(pwrite)(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    return fails_fd(WRITE, fd) ? -1 : NEXT(pwrite64)(fd, data, n, at);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    return fails_fd(WRITE, fd) ? -1 : NEXT(writev)(fd, parts, n);
}
int ftruncate64(int fd, off64_t size) {
    return fails_fd(WRITE, fd) ? -1 : NEXT(ftruncate64)(fd, size);
}
ssize_t read(int fd, void *data, size_t n) {
    return fails_fd(READ, fd) ? -1 : NEXT(read)(fd, data, n);
}
ssize_t pread64(int fd, void *data, size_t n, off64_t at) {
    return fails_fd(READ, fd) ? -1 : NEXT(pread64)(fd, data, n, at);
}
int fsync(int fd) { return fails_fd(SYNC, fd) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails_fd(SYNC, fd) ? -1 : NEXT(fdatasync)(fd); }
int flock(int fd, int how) { return fails_fd(LOCK, fd) ? -1 : NEXT(flock)(fd, how); }
int rename(const char *from, const char *to) {
    return fails(RENAME, to) ? -1 : NEXT(rename)(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    return fails(RENAME, to) ? -1 : NEXT(renameat)(a, from, b, to);
}
int mkdir(const char *path, mode_t mode) {
    return fails(MAKE, path) ? -1 : NEXT(mkdir)(path, mode);
}
