/* Makes the calls of a process fail, wait or fall short by the rules of a shared table.
 *
 * Preloaded into a process (LD_PRELOAD); FAULT_TABLE names the file of the table, which
 * tests/support/fault/rules.py writes. Every process maps that file once, and what it forks
 * inherits the mapping: a change of the rules holds for the next call of all of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { OPEN, READ, WRITE, SYNC, RENAME, UNLINK, MKDIR, TRUNCATE, ROOM };

/* Both must be as rules.py has them. */
struct rule {
    uint32_t calls;       /* a bit for each call */
    int32_t error;        /* errno, or 0 */
    uint64_t delay_us;    /* the wait before the call */
    int64_t at_most;      /* bytes that a read or write may move; 0: any */
    uint32_t per_million; /* how often, by chance */
    uint32_t unused;
    int64_t skip; /* calls that are let through first */
    int64_t left; /* calls that are met after that */
    uint64_t hits;
    char path[512];
    char program[256];
};
struct table {
    uint32_t magic;
    uint32_t count;
    uint64_t generation;
    int64_t clock_ns; /* added to the wall clock */
    struct rule rules[32];
};
#define MAGIC 0x46415554u

static struct table *table;
static char program[4096];

static long now_us(void) {
    struct timespec at;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000L + at.tv_nsec / 1000;
}

static void read_program(void) {
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    long size = fd < 0 ? 0 : syscall(SYS_read, fd, program, sizeof program - 1);
    if (fd >= 0) syscall(SYS_close, fd);
    for (long at = 0; at + 1 < size; at++)
        if (!program[at]) program[at] = ' ';
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_TABLE");
    if (!path) return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found == MAP_FAILED) return;
    read_program();
    if (((struct table *)found)->magic == MAGIC) table = found;
}

/* The rules that may meet a call at all: most calls end here. */
static int is_ruled(enum call call) {
    if (!table) return 0;
    uint32_t count = __atomic_load_n(&table->count, __ATOMIC_ACQUIRE);
    for (uint32_t at = 0; at < count; at++)
        if (table->rules[at].calls & (1u << call)) return 1;
    return 0;
}

static int strikes(struct rule *rule) {
    static __thread uint64_t random;
    if (!random) random = (uint64_t)now_us() * 2654435761u ^ (uint64_t)(uintptr_t)&random ^ getpid();
    random = random * 6364136223846793005u + 1442695040888963407u;
    if (rule->per_million < 1000000 && (random >> 33) % 1000000 >= rule->per_million) return 0;
    if (__atomic_load_n(&rule->skip, __ATOMIC_RELAXED) > 0 &&
        __atomic_fetch_sub(&rule->skip, 1, __ATOMIC_RELAXED) > 0)
        return 0;
    if (__atomic_fetch_sub(&rule->left, 1, __ATOMIC_RELAXED) > 0) return 1;
    __atomic_fetch_add(&rule->left, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Waits; other rules end it at once, as when a disk that hung comes back. */
static void wait_us(uint64_t delay_us) {
    uint64_t generation = table->generation;
    long end = now_us() + (long)delay_us;
    for (long left; (left = end - now_us()) > 0 && table->generation == generation;) {
        struct timespec slice = {0, (left < 5000 ? left : 5000) * 1000};
        syscall(SYS_nanosleep, &slice, NULL);
    }
}

/* Returns 0, or -1 with errno set; *at_most is lowered to the bytes that may be moved. */
static int meet(enum call call, const char *path, size_t *at_most) {
    uint32_t count = __atomic_load_n(&table->count, __ATOMIC_ACQUIRE);
    for (uint32_t at = 0; at < count; at++) {
        struct rule *rule = &table->rules[at];
        if (!(rule->calls & (1u << call)) || fnmatch(rule->path, path, 0) ||
            fnmatch(rule->program, program, 0) || !strikes(rule))
            continue;
        int error = rule->error;
        __atomic_fetch_add(&rule->hits, 1, __ATOMIC_RELAXED);
        if (rule->at_most > 0 && at_most && *at_most > (size_t)rule->at_most)
            *at_most = (size_t)rule->at_most;
        if (rule->delay_us) wait_us(rule->delay_us);
        if (error) return errno = error, -1;
    }
    return 0;
}

static int meet_fd(enum call call, int fd, size_t *at_most) {
    if (!is_ruled(call)) return 0;
    int kept = errno;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = kept;
    if (size <= 0) return 0;
    path[size] = 0;
    return meet(call, path, at_most);
}

static int meet_path(enum call call, int folder, const char *path) {
    if (!path || !is_ruled(call)) return 0;
    if (path[0] == '/') return meet(call, path, NULL);
    int kept = errno;
    char link[64], whole[2 * PATH_MAX];
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, whole, PATH_MAX);
    errno = kept;
    if (size <= 0) return 0;
    snprintf(whole + size, sizeof whole - (size_t)size, "/%s", path);
    return meet(call, whole, NULL);
}

/* A real function of the C library, by the name of the one that stands before it. */
#define REAL(type, name, ...)                                                      \
    static type (*real)(__VA_ARGS__);                                              \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPEN_CALL(name)                                                            \
    int name(const char *path, int flags, ...) {                                   \
        va_list more;                                                              \
        va_start(more, flags);                                                     \
        mode_t mode = va_arg(more, mode_t);                                        \
        va_end(more);                                                              \
        REAL(int, #name, const char *, int, ...);                                  \
        return meet_path(OPEN, AT_FDCWD, path) ? -1 : real(path, flags, mode);     \
    }
OPEN_CALL(open)
OPEN_CALL(open64)

#define OPENAT_CALL(name)                                                          \
    int name(int folder, const char *path, int flags, ...) {                       \
        va_list more;                                                              \
        va_start(more, flags);                                                     \
        mode_t mode = va_arg(more, mode_t);                                        \
        va_end(more);                                                              \
        REAL(int, #name, int, const char *, int, ...);                             \
        return meet_path(OPEN, folder, path) ? -1 : real(folder, path, flags, mode); \
    }
OPENAT_CALL(openat)
OPENAT_CALL(openat64)

#define OPEN_CHECKED(name)                                                         \
    int name(const char *path, int flags) {                                        \
        REAL(int, #name, const char *, int);                                       \
        return meet_path(OPEN, AT_FDCWD, path) ? -1 : real(path, flags);           \
    }
OPEN_CHECKED(__open_2)
OPEN_CHECKED(__open64_2)

ssize_t read(int fd, void *into, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    return meet_fd(READ, fd, &size) ? -1 : real(fd, into, size);
}

ssize_t __read_chk(int fd, void *into, size_t size, size_t room) {
    if (size > room) abort();
    return read(fd, into, size);
}

ssize_t write(int fd, const void *from, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return meet_fd(WRITE, fd, &size) ? -1 : real(fd, from, size);
}

#define PREAD_CALL(name)                                                           \
    ssize_t name(int fd, void *into, size_t size, off_t at) {                      \
        REAL(ssize_t, #name, int, void *, size_t, off_t);                          \
        return meet_fd(READ, fd, &size) ? -1 : real(fd, into, size, at);           \
    }
PREAD_CALL(pread)
PREAD_CALL(pread64)

#define PWRITE_CALL(name)                                                          \
    ssize_t name(int fd, const void *from, size_t size, off_t at) {                \
        REAL(ssize_t, #name, int, const void *, size_t, off_t);                    \
        return meet_fd(WRITE, fd, &size) ? -1 : real(fd, from, size, at);          \
    }
PWRITE_CALL(pwrite)
PWRITE_CALL(pwrite64)

ssize_t readv(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "readv", int, const struct iovec *, int);
    return meet_fd(READ, fd, NULL) ? -1 : real(fd, parts, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return meet_fd(WRITE, fd, NULL) ? -1 : real(fd, parts, count);
}

#define FD_CALL(name, call)                                                        \
    int name(int fd) {                                                             \
        REAL(int, #name, int);                                                     \
        return meet_fd(call, fd, NULL) ? -1 : real(fd);                            \
    }
FD_CALL(fsync, SYNC)
FD_CALL(fdatasync, SYNC)

#define TRUNCATE_CALL(name)                                                        \
    int name(int fd, off_t size) {                                                 \
        REAL(int, #name, int, off_t);                                              \
        return meet_fd(TRUNCATE, fd, NULL) ? -1 : real(fd, size);                  \
    }
TRUNCATE_CALL(ftruncate)
TRUNCATE_CALL(ftruncate64)

int posix_fallocate64(int fd, off_t at, off_t size) {
    REAL(int, "posix_fallocate64", int, off_t, off_t);
    return meet_fd(WRITE, fd, NULL) ? errno : real(fd, at, size);
}

int posix_fallocate(int fd, off_t at, off_t size) { return posix_fallocate64(fd, at, size); }

/* A rename is met by what it would be named. */
int rename(const char *old, const char *new) {
    REAL(int, "rename", const char *, const char *);
    return meet_path(RENAME, AT_FDCWD, new) ? -1 : real(old, new);
}

int renameat(int from, const char *old, int to, const char *new) {
    REAL(int, "renameat", int, const char *, int, const char *);
    return meet_path(RENAME, to, new) ? -1 : real(from, old, to, new);
}

int link(const char *old, const char *new) {
    REAL(int, "link", const char *, const char *);
    return meet_path(RENAME, AT_FDCWD, new) ? -1 : real(old, new);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    return meet_path(RENAME, to, new) ? -1 : real(from, old, to, new, flags);
}

#define PATH_CALL(name, call)                                                      \
    int name(const char *path) {                                                   \
        REAL(int, #name, const char *);                                            \
        return meet_path(call, AT_FDCWD, path) ? -1 : real(path);                  \
    }
PATH_CALL(unlink, UNLINK)
PATH_CALL(rmdir, UNLINK)

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    return meet_path(UNLINK, folder, path) ? -1 : real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return meet_path(MKDIR, AT_FDCWD, path) ? -1 : real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    return meet_path(MKDIR, folder, path) ? -1 : real(folder, path, mode);
}

/* ENOSPC on ROOM: the call succeeds and says that there is no room. */
static int room_left(int met, int answer, uint64_t *available, uint64_t *free) {
    if (met && errno != ENOSPC) return -1;
    if (met && !answer) *available = *free = 0;
    return answer;
}

#define STATVFS_CALL(name, type)                                                   \
    int name(const char *path, struct type *into) {                                \
        REAL(int, #name, const char *, struct type *);                             \
        int met = meet_path(ROOM, AT_FDCWD, path), kept = errno;                   \
        int answer = real(path, into);                                             \
        if (met) errno = kept;                                                     \
        return room_left(met, answer, &into->f_bavail, &into->f_bfree);            \
    }
STATVFS_CALL(statvfs, statvfs)
STATVFS_CALL(statvfs64, statvfs64)

#define FSTATVFS_CALL(name, type)                                                  \
    int name(int fd, struct type *into) {                                          \
        REAL(int, #name, int, struct type *);                                      \
        int met = meet_fd(ROOM, fd, NULL), kept = errno;                           \
        int answer = real(fd, into);                                               \
        if (met) errno = kept;                                                     \
        return room_left(met, answer, &into->f_bavail, &into->f_bfree);            \
    }
FSTATVFS_CALL(fstatvfs, statvfs)
FSTATVFS_CALL(fstatvfs64, statvfs64)

/* The wall clock. Monotonic clocks and the times of files stay as they are. */
int clock_gettime(clockid_t clock, struct timespec *at) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int answer = real(clock, at);
    if (answer || !table || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return answer;
    int64_t jump_ns = __atomic_load_n(&table->clock_ns, __ATOMIC_RELAXED);
    int64_t ns = at->tv_nsec + jump_ns % 1000000000;
    at->tv_sec += jump_ns / 1000000000 + (ns >= 1000000000) - (ns < 0);
    at->tv_nsec = ns - (ns >= 1000000000) * 1000000000 + (ns < 0) * 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
