/* Is preloaded between kage and the C library: makes a call fail, shifts the clock, or disables locks.
 *
 * TORTURE_UNDER   a directory: only calls on files below it count; if unset, all calls below count
 * TORTURE_AT      the number of the counted call that fails, starting at 1
 * TORTURE_WITH    the error number; or stop or kill (the process, at that call), or short (half of it is written, and
 *                 from then on the disk is full)
 * TORTURE_FROM    if set, all later counted calls fail too
 * TORTURE_COUNT   a file to which the number of calls is written at the end
 * TORTURE_LOCKS   `none`: flock succeeds without locking
 * TORTURE_CLOCK   seconds to add to the time of day
 *
 * Calls are counted and fail only in processes that run TORTURE_PROGRAM (kage); the clock is shifted in all.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { STOP = -1, KILL = -2, SHORT = -3 };
enum { ONCE, INTERRUPTIBLE };

static const char *under, *count_file;
static long at, offset;
static int with, sticky, no_locks, is_kage;
static atomic_long calls;
static unsigned char below[4096];

__attribute__((constructor)) static void begin(void) {
  const char *text;
  if ((text = getenv("TORTURE_CLOCK"))) offset = atol(text);
  char path[256];
  const char *name = getenv("TORTURE_PROGRAM");
  long length = syscall(SYS_readlink, "/proc/self/exe", path, sizeof path - 1);
  if (!name || length <= 0) return;
  path[length] = 0;
  if (strcmp(path, name)) return;
  is_kage = 1;
  under = getenv("TORTURE_UNDER");
  if ((text = getenv("TORTURE_AT"))) at = atol(text);
  if ((text = getenv("TORTURE_WITH")))
    with = !strcmp(text, "stop") ? STOP : !strcmp(text, "kill") ? KILL : !strcmp(text, "short") ? SHORT : atoi(text);
  sticky = getenv("TORTURE_FROM") != NULL || with == SHORT;
  no_locks = (text = getenv("TORTURE_LOCKS")) && !strcmp(text, "none");
  count_file = getenv("TORTURE_COUNT");
}

__attribute__((destructor)) static void end(void) {
  if (!is_kage || !count_file) return;
  char text[32];
  int length = snprintf(text, sizeof text, "%ld\n", atomic_load(&calls));
  int fd = syscall(SYS_openat, AT_FDCWD, count_file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (fd >= 0) syscall(SYS_write, fd, text, length), syscall(SYS_close, fd);
}

static int is_under(const char *path) { return under && path && !strncmp(path, under, strlen(under)); }
/* std calls statx with a null path to find out whether the kernel has statx. The declaration says that the path
 * is not null, so without `noipa` the compiler would drop this check. */
__attribute__((noipa)) static int is_named(const char *path) { return path && *path; }
static int is_below(int fd) { return fd >= 0 && fd < 4096 && below[fd]; }

/* Whether this call fails. If so, errno is the error, or 0 for a write that writes only half. */
static int fails(int counts, int kind) {
  if (!is_kage || !(under ? counts : 1)) return 0;
  if (with == EINTR && kind != INTERRUPTIBLE) return 0;
  long number = atomic_fetch_add(&calls, 1) + 1;
  if (!at || number < at || (number > at && !sticky)) return 0;
  switch (with) {
    case STOP: kill(getpid(), SIGSTOP); return 0;
    case KILL: kill(getpid(), SIGKILL); return 0;
    case SHORT: errno = number == at ? 0 : ENOSPC; return 1;
    default: errno = with; return 1;
  }
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
/* Only writes can be short; other calls succeed until the disk is full. */
#define FAILS(counts, kind) (fails(counts, kind) && errno)

static int opened(int fd, int counts) {
  if (fd >= 0 && fd < 4096) below[fd] = counts;
  return fd;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
    int counts = is_under(path); \
    if (FAILS(counts, INTERRUPTIBLE)) return -1; \
    return opened(real(path, flags, mode), counts); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
  int name(int dir, const char *path, int flags, ...) { \
    REAL(name); va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
    int counts = is_under(path); \
    if (FAILS(counts, INTERRUPTIBLE)) return -1; \
    return opened(real(dir, path, flags, mode), counts); }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) { REAL(close); opened(fd, 0); return real(fd); }

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(write);
  /* A short write writes half. */
  if (fails(is_below(fd), INTERRUPTIBLE)) {
    if (errno) return -1;
    if (length > 1) return real(fd, bytes, length / 2);
  }
  return real(fd, bytes, length);
}
ssize_t writev(int fd, const struct iovec *parts, int many) {
  REAL(writev); return FAILS(is_below(fd), INTERRUPTIBLE) ? -1 : real(fd, parts, many); }
ssize_t read(int fd, void *bytes, size_t length) {
  REAL(read); return FAILS(is_below(fd), INTERRUPTIBLE) ? -1 : real(fd, bytes, length); }
ssize_t pread64(int fd, void *bytes, size_t length, off64_t from) {
  REAL(pread64); return FAILS(is_below(fd), INTERRUPTIBLE) ? -1 : real(fd, bytes, length, from); }
int fsync(int fd) { REAL(fsync); return FAILS(is_below(fd), INTERRUPTIBLE) ? -1 : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return FAILS(is_below(fd), INTERRUPTIBLE) ? -1 : real(fd); }
int ftruncate64(int fd, off64_t length) {
  REAL(ftruncate64); return FAILS(is_below(fd), INTERRUPTIBLE) ? -1 : real(fd, length); }
int fchmod(int fd, mode_t mode) { REAL(fchmod); return FAILS(is_below(fd), ONCE) ? -1 : real(fd, mode); }
int flock(int fd, int how) {
  REAL(flock);
  if (FAILS(is_below(fd), INTERRUPTIBLE)) return -1;
  return is_kage && no_locks ? 0 : real(fd, how);
}
int rename(const char *from, const char *to) {
  REAL(rename); return FAILS(is_under(from), ONCE) ? -1 : real(from, to); }
int unlink(const char *path) { REAL(unlink); return FAILS(is_under(path), ONCE) ? -1 : real(path); }
int rmdir(const char *path) { REAL(rmdir); return FAILS(is_under(path), ONCE) ? -1 : real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return FAILS(is_under(path), ONCE) ? -1 : real(path, mode); }
int chmod(const char *path, mode_t mode) { REAL(chmod); return FAILS(is_under(path), ONCE) ? -1 : real(path, mode); }
DIR *opendir(const char *path) { REAL(opendir); return FAILS(is_under(path), ONCE) ? NULL : real(path); }
int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict known) {
  REAL(statx);
  return FAILS(is_named(path) ? is_under(path) : is_below(dir), ONCE) ? -1 : real(dir, path, flags, mask, known);
}
int pipe2(int ends[2], int flags) { REAL(pipe2); return FAILS(0, ONCE) ? -1 : real(ends, flags); }
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*what)(void *), void *with_what) {
  REAL(pthread_create);
  return FAILS(0, ONCE) ? EAGAIN : real(thread, how, what, with_what);
}
#define SPAWN(name) \
  int name(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how, \
           char *const words[], char *const environment[]) { \
    REAL(name); return FAILS(0, ONCE) ? EAGAIN : real(pid, path, actions, how, words, environment); }
SPAWN(posix_spawn)
SPAWN(posix_spawnp)
pid_t fork(void) {
  REAL(fork);
  if (FAILS(0, ONCE)) { errno = EAGAIN; return -1; }
  pid_t child = real();
  if (!child) is_kage = 0; /* calls between fork and exec do not count as kage's */
  return child;
}
/* kage becomes the agent, so its calls end here. */
int execvp(const char *name, char *const words[]) { REAL(execvp); end(); return real(name, words); }

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(clock_gettime);
  int failed = real(clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset;
  return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  REAL(gettimeofday);
  int failed = real(now, zone);
  if (!failed) now->tv_sec += offset;
  return failed;
}
time_t time(time_t *now) {
  struct timespec known;
  clock_gettime(CLOCK_REALTIME, &known);
  if (now) *now = known.tv_sec;
  return known.tv_sec;
}
