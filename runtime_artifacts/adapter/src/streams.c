// Reading and writing open files, standard streams among them.
#include "descriptors.h"
#include "wasi.h"

#define NOT_SAID (~0u)

static u32 total_length(const u32 *vectors, i32 count) {
  u32 total = 0;
  for (i32 i = 0; i < count; i++) total += vectors[2 * i + 1];
  return total;
}

// A message for each piece, without the ends of lines: a console ends them itself.
static void log_pieces(const u32 *vectors, i32 count) {
  for (i32 i = 0; i < count; i++) {
    const u8 *text = (const u8 *)vectors[2 * i];
    u32 shown = vectors[2 * i + 1];
    while (shown && (text[shown - 1] == '\n' || text[shown - 1] == '\r')) shown--;
    if (shown) host_js_log(text, shown);
  }
}

EXPORT("fd_write") i32 guest_fd_write(i32 fd, const u32 *vectors, i32 count, u32 *written) {
  OpenFile *file = open_file(fd);
  if (!file) return EBADF;
  if (layout.flags & FLAG_JS_LOG && (file->host == 1 || file->host == 2)) {
    log_pieces(vectors, count);
    *written = total_length(vectors, count);
    return 0;
  }
  // The original's host answers 0 and does not say how much it took: then it was everything.
  *written = NOT_SAID;
  i32 error = host_fd_write(file->host, vectors, count, written);
  if (*written == NOT_SAID) *written = error ? 0 : total_length(vectors, count);
  return error;
}

EXPORT("fd_read") i32 guest_fd_read(i32 fd, const u32 *vectors, i32 count, u32 *read) {
  OpenFile *file = open_file(fd);
  if (!file) return EBADF;
  *read = 0;  // what a host does not say is the end of the file
  return host_fd_read(file->host, vectors, count, read);
}

static i32 seekable(i32 fd, OpenFile **file) {
  *file = open_file(fd);
  if (!*file) return EBADF;
  return layout.flags & FLAG_FILES && (*file)->host > 2 ? 0 : ESPIPE;
}
static OpenFile *seeking;
EXPORT("fd_seek") i32 guest_fd_seek(i32 fd, i64 offset, i32 whence, u64 *position) {
  i32 error = seekable(fd, &seeking);
  return error ? error : host_fd_seek(seeking->host, offset, whence, position);
}
EXPORT("fd_pread") i32 guest_fd_pread(i32 fd, const u32 *vectors, i32 count, i64 offset, u32 *read) {
  i32 error = seekable(fd, &seeking);
  return error ? error : host_fd_pread(seeking->host, vectors, count, (u64)offset, read);
}
EXPORT("fd_pwrite") i32 guest_fd_pwrite(i32 fd, const u32 *vectors, i32 count, i64 offset, u32 *written) {
  i32 error = seekable(fd, &seeking);
  return error ? error : host_fd_pwrite(seeking->host, vectors, count, (u64)offset, written);
}
EXPORT("fd_sync") i32 guest_fd_sync(i32 fd) {
  i32 error = seekable(fd, &seeking);
  return error == ESPIPE ? 0 : error ? error : host_fd_sync(seeking->host);
}
EXPORT("fd_fdstat_get") i32 guest_fd_fdstat_get(i32 fd, u8 *stat) {
  OpenFile *file = open_file(fd);
  if (!file) return EBADF;
  if (layout.flags & FLAG_FILES) return host_fd_fdstat_get(file->host, stat);
  clear(stat, 24);
  stat[0] = 2;  // filetype: character device
  return 0;
}

void write_all(i32 fd, const void *data, u32 length) {
  static u32 vector[2], written;
  for (u32 done = 0; done < length; done += written) {
    vector[0] = (u32)data + done;
    vector[1] = length - done;
    if (guest_fd_write(fd, vector, 1, &written) || !written) return;
  }
}

void say(const void *text, u32 length) {
  write_all(2, text, length);
  if (!(layout.flags & FLAG_JS_LOG)) write_all(2, LITERAL("\n"));
}

u8 *read_all(u32 *length) {
  static u32 vector[2], read;
  enum { ROOM = 32768 };
  u32 capacity = 2 * ROOM;
  u8 *data = allocate(capacity);
  for (*length = 0;; *length += read) {
    if (capacity - *length < ROOM) {
      if (capacity >= 1u << 30) __builtin_trap();
      u8 *more = allocate(capacity *= 2);
      copy(more, data, *length);
      free(data);
      data = more;
    }
    vector[0] = (u32)data + *length;
    vector[1] = capacity - *length;
    if (guest_fd_read(0, vector, 1, &read) || !read) return data;
  }
}
