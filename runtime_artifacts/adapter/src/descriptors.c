// The guest's file numbers. .NET duplicates its streams, so several may mean one file.
#include "descriptors.h"
#include "wasi.h"

enum { MOST = 256, F_DUPFD = 0, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK = 12, F_SETLK, F_SETLKW, F_DUPFD_CLOEXEC = 1030, F_UNLCK = 2 };
static OpenFile **table;

static void open_streams(void) {
  if (table) return;
  table = clear(allocate(MOST * sizeof *table), MOST * sizeof *table);
  for (i32 fd = 0; fd < 3; fd++) {
    OpenFile *file = clear(allocate(sizeof *file), sizeof *file);
    file->host = fd;
    file->flags = fd ? 1 : 0;  // O_WRONLY, O_RDONLY
    add_descriptor(file, fd);
  }
}

OpenFile *open_file(i32 fd) {
  open_streams();
  return fd >= 0 && fd < MOST ? table[fd] : NULL;
}

i32 add_descriptor(OpenFile *file, i32 from) {
  open_streams();
  for (i32 fd = from < 0 ? 0 : from; fd < MOST; fd++) {
    if (table[fd]) continue;
    table[fd] = file;
    file->references++;
    return fd;
  }
  return -EMFILE;
}

EXPORT("fd_close") i32 guest_fd_close(i32 fd) {
  OpenFile *file = open_file(fd);
  if (!file) return EBADF;
  table[fd] = NULL;
  if (--file->references) return 0;
  // The streams stay open: the host may have something to say itself.
  i32 error = file->host > 2 ? host_fd_close(file->host) : 0;
  free(file);
  return error;
}

EXPORT("__syscall_fcntl64") i32 guest_fcntl(i32 fd, i32 command, const u32 *arguments) {
  OpenFile *file = open_file(fd);
  if (!file) return -EBADF;
  switch (command) {
  case F_DUPFD:
  case F_DUPFD_CLOEXEC: return add_descriptor(file, (i32)*arguments);
  case F_GETFL: return (i32)file->flags;
  case F_GETLK: *(u16 *)*arguments = F_UNLCK; return 0;  // nobody else is there to hold a lock
  case F_GETFD:
  case F_SETFD:
  case F_SETFL:
  case F_SETLK:
  case F_SETLKW: return 0;
  }
  return -EINVAL;
}
EXPORT("__syscall_ioctl") i32 guest_ioctl(i32 fd, i32 request, u32 arguments) { return open_file(fd) ? -ENOTTY : -EBADF; }
EXPORT("__syscall_fchmod") i32 guest_fchmod(i32 fd, i32 mode) { return open_file(fd) ? 0 : -EBADF; }
EXPORT("__syscall_fadvise64") i32 guest_fadvise(i32 fd, i64 offset, i64 length, i32 advice) { return open_file(fd) ? 0 : -EBADF; }

// No mappings, no sockets.
EXPORT("_mmap_js") i32 guest_mmap(i32 length, i32 protection, i32 flags, i32 fd, i64 offset, i32 allocated, i32 address) { return -ENODEV; }
EXPORT("_munmap_js") i32 guest_munmap(i32 address, i32 length, i32 protection, i32 flags, i32 fd, i64 offset) { return -ENODEV; }
EXPORT("_msync_js") i32 guest_msync(i32 address, i32 length, i32 protection, i32 flags, i32 fd, i64 offset) { return -ENODEV; }
EXPORT("__syscall_connect") i32 guest_connect(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f) { return -ENOTSOCK; }
EXPORT("__syscall_recvfrom") i32 guest_recvfrom(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f) { return -ENOTSOCK; }
EXPORT("__syscall_sendto") i32 guest_sendto(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f) { return -ENOTSOCK; }
EXPORT("__syscall_socket") i32 guest_socket(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f) { return -EAFNOSUPPORT; }
