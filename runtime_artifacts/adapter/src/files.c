// Files by name, on the host's preopened directories. Without FLAG_FILES there are none.
#include "descriptors.h"
#include "wasi.h"

enum {
  AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_EMPTY_PATH = 0x1000,
  O_ACCMODE = 3, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_TRUNC = 01000,
  O_APPEND = 02000, O_NONBLOCK = 04000, O_DSYNC = 010000, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000,
  FOLLOW = 1,  // lookupflags
  DIRECTORY = 3, REGULAR = 4, SYMBOLIC_LINK = 7,  // filetype
};
// rights, which hosts read as the way a file is opened; bits as in witx/typenames.witx.
#define RIGHT(bit) (1ull << (bit))
#define POSITION (RIGHT(2) | RIGHT(5) | RIGHT(21))  // fd_seek, fd_tell, fd_filestat_get
#define READING (POSITION | RIGHT(1) | RIGHT(7) | RIGHT(27))
#define WRITING (POSITION | RIGHT(0) | RIGHT(4) | RIGHT(6) | RIGHT(8) | RIGHT(22) | RIGHT(23))
#define DIRECTORY_RIGHTS (RIGHT(28) - 1 - RIGHT(6) - RIGHT(8))

typedef struct Preopen { struct Preopen *next; i32 fd; u32 length; u8 path[]; } Preopen;

// Where a path leads: a directory of the host and a path below it.
typedef struct {
  i32 directory;
  const u8 *path;
  u32 length;
  u8 *absolute;  // as the guest sees it, without a slash at the end
  u32 absolute_length, capacity;
} Place;
static Place here, there;
static Preopen *preopens;
static i32 looked;
static u8 *current;  // the current directory like Place.absolute
static u32 current_length;
static u64 found[8];  // filestat

// Appends a path's names to what `place` has, going back for "..".
static void append(Place *place, const u8 *path, u32 length) {
  for (u32 i = 0; i < length;) {
    u32 end = i;
    while (end < length && path[end] != '/') end++;
    u32 size = end - i;
    const u8 *name = path + i;
    i = end + 1;
    if (!size || (size == 1 && name[0] == '.')) continue;
    if (size == 2 && name[0] == '.' && name[1] == '.') {
      while (place->absolute_length && place->absolute[--place->absolute_length] != '/') {}
      continue;
    }
    place->absolute[place->absolute_length++] = '/';
    copy(place->absolute + place->absolute_length, name, size);
    place->absolute_length += size;
  }
}
static void normalise(Place *place, const u8 *path, u32 length) {
  u32 most = current_length + length + 2;
  if (most > place->capacity) {
    free(place->absolute);
    place->absolute = allocate(place->capacity = most + 256);
  }
  place->absolute_length = 0;
  if (!length || path[0] != '/') append(place, current, current_length);
  append(place, path, length);
}
static void find_preopens(void) {
  if (looked) return;
  looked = 1;
  for (i32 fd = 3; !host_fd_prestat_get(fd, state.cells); fd++) {
    if (state.cells[0] & 0xFF) continue;
    u32 length = state.cells[1];
    u8 *name = allocate(length);
    if (!host_fd_prestat_dir_name(fd, name, length)) {
      while (length && !name[length - 1]) length--;
      normalise(&here, name, length);
      Preopen *preopen = allocate(sizeof *preopen + here.absolute_length);
      preopen->next = preopens;
      preopen->fd = fd;
      preopen->length = here.absolute_length;
      copy(preopen->path, here.absolute, here.absolute_length);
      preopens = preopen;
    }
    free(name);
  }
}
static i32 is_below(const u8 *path, u32 length, const u8 *folder, u32 folder_length) {
  return length >= folder_length && equal(path, folder, folder_length) && (length == folder_length || path[folder_length] == '/');
}
// errno, or 0 with `place` filled in.
static i32 locate(Place *place, i32 directory, const u8 *path) {
  u32 length = text_length(path);
  if (!length) return ENOENT;
  if (path[0] != '/' && directory != AT_FDCWD) {
    OpenFile *file = open_file(directory);
    if (!file) return EBADF;
    place->directory = file->host;
    place->path = path;
    place->length = length;
    place->absolute_length = 0;
    return layout.flags & FLAG_FILES ? 0 : ENOTDIR;
  }
  if (layout.flags & FLAG_FILES) find_preopens();
  normalise(place, path, length);
  Preopen *best = NULL;
  for (Preopen *p = preopens; p; p = p->next)
    if ((!best || p->length >= best->length) && is_below(place->absolute, place->absolute_length, p->path, p->length)) best = p;
  if (!best) return ENOENT;
  place->directory = best->fd;
  place->path = place->absolute + best->length + 1;
  place->length = place->absolute_length - best->length - 1;
  if (place->absolute_length == best->length) {
    place->path = (const u8 *)".";
    place->length = 1;
  }
  return 0;
}
// Folders above preopened ones are there, too.
static i32 is_above(const Place *place) {
  if (!place->absolute_length) return 1;
  for (Preopen *p = preopens; p; p = p->next)
    if (is_below(p->path, p->length, place->absolute, place->absolute_length)) return 1;
  return 0;
}

// ---- attributes

static u32 mode_of(u8 type) {
  switch (type) {
  case 1: return 0060666;  // block device
  case 2: return 0020666;  // character device
  case DIRECTORY: return 0040777;
  case SYMBOLIC_LINK: return 0120777;
  case 5:
  case 6: return 0140666;  // sockets
  }
  return 0100666;
}
// Emscripten's struct stat: dotnet_wasm_host/imports/files/layouts.py, STAT.
static void give_stat(u8 *to) {
  clear(to, 96);
  u64 size = found[4];
  *(u32 *)(to + 0) = (u32)found[0];
  *(u32 *)(to + 4) = mode_of(((u8 *)found)[16]);
  *(u32 *)(to + 8) = found[3] ? (u32)found[3] : 1;
  *(u64 *)(to + 24) = size;
  *(u32 *)(to + 32) = 4096;
  *(u32 *)(to + 36) = (u32)((size + 4095) / 4096 * 8);
  for (u32 i = 0; i < 3; i++) {
    *(u64 *)(to + 40 + 16 * i) = found[5 + i] / 1000000000;
    *(u32 *)(to + 48 + 16 * i) = (u32)(found[5 + i] % 1000000000);
  }
  *(u64 *)(to + 88) = found[1];
}
static i32 stat_path(i32 directory, const u8 *path, i32 follow) {
  i32 error = locate(&here, directory, path);
  if (error == ENOENT && *path && is_above(&here)) {
    clear(found, sizeof found);
    ((u8 *)found)[16] = DIRECTORY;
    return 0;
  }
  return error ? error : host_path_filestat_get(here.directory, follow ? FOLLOW : 0, here.path, here.length, found);
}
static i32 stat_file(i32 fd) {
  OpenFile *file = open_file(fd);
  if (!file) return EBADF;
  if (layout.flags & FLAG_FILES) return host_fd_filestat_get(file->host, found);
  clear(found, sizeof found);
  ((u8 *)found)[16] = 2;
  return 0;
}
static i32 answer_stat(i32 error, u8 *to) {
  if (!error) give_stat(to);
  return -error;
}
EXPORT("__syscall_stat64") i32 guest_stat(const u8 *path, u8 *to) { return answer_stat(stat_path(AT_FDCWD, path, 1), to); }
EXPORT("__syscall_lstat64") i32 guest_lstat(const u8 *path, u8 *to) { return answer_stat(stat_path(AT_FDCWD, path, 0), to); }
EXPORT("__syscall_fstat64") i32 guest_fstat(i32 fd, u8 *to) { return answer_stat(stat_file(fd), to); }
EXPORT("__syscall_newfstatat") i32 guest_fstatat(i32 directory, const u8 *path, u8 *to, i32 flags) {
  if (!*path && flags & AT_EMPTY_PATH && directory != AT_FDCWD) return guest_fstat(directory, to);
  return answer_stat(stat_path(directory, path, !(flags & AT_SYMLINK_NOFOLLOW)), to);
}
EXPORT("__syscall_faccessat") i32 guest_faccessat(i32 directory, const u8 *path, i32 mode, i32 flags) {
  return -stat_path(directory, path, !(flags & AT_SYMLINK_NOFOLLOW));
}
EXPORT("__syscall_chmod") i32 guest_chmod(const u8 *path, i32 mode) { return -stat_path(AT_FDCWD, path, 1); }
EXPORT("__syscall_fstatfs64") i32 guest_fstatfs(i32 fd, i32 size, u8 *to) {
  if (!open_file(fd)) return -EBADF;
  if (size != 64) return -EINVAL;
  clear(to, 64);
  *(u32 *)to = 0x01021994;  // tmpfs, for which .NET has no special rules
  *(u32 *)(to + 4) = *(u32 *)(to + 40) = 4096;
  *(u32 *)(to + 36) = 255;
  return 0;
}

// ---- opening

EXPORT("__syscall_openat") i32 guest_openat(i32 directory, const u8 *path, i32 flags, u32 arguments) {
  i32 error = locate(&here, directory, path);
  if (error) return !(layout.flags & FLAG_FILES) && flags & O_CREAT ? -EROFS : -error;
  i32 access = flags & O_ACCMODE, how = 0, status = 0, opened = -1;
  if (flags & O_CREAT) how |= 1;
  if (flags & O_DIRECTORY) how |= 2;
  if (flags & O_EXCL) how |= 4;
  if (flags & O_TRUNC) how |= 8;
  if (flags & O_APPEND) status |= 1;
  if (flags & O_DSYNC) status |= 2;
  u64 rights = access == O_WRONLY ? WRITING : access == O_RDWR ? READING | WRITING : READING;
  if (flags & O_DIRECTORY) rights = DIRECTORY_RIGHTS;
  error = host_path_open(here.directory, flags & O_NOFOLLOW ? 0 : FOLLOW, here.path, here.length, how, rights, READING | WRITING | DIRECTORY_RIGHTS, status, (i32 *)&state.cells[0]);
  if (error) return -error;
  opened = (i32)state.cells[0];
  OpenFile *file = clear(allocate(sizeof *file), sizeof *file);
  file->host = opened;
  file->flags = (u32)flags & ~(u32)(O_CREAT | O_EXCL | O_TRUNC);
  i32 fd = add_descriptor(file, 0);
  if (fd < 0) {
    host_fd_close(opened);
    free(file);
  }
  return fd;
}
EXPORT("__syscall_ftruncate64") i32 guest_ftruncate(i32 fd, i64 size) {
  OpenFile *file = open_file(fd);
  if (!file) return -EBADF;
  return layout.flags & FLAG_FILES ? -host_fd_filestat_set_size(file->host, (u64)size) : -EINVAL;
}
// Records of 280 bytes: layouts.py, DIRENT.
enum { RECORD = 280, NAME = 256, HEAD = 24 };
static const u8 kinds[8] = {0, 6, 2, 4, 8, 12, 12, 10};  // DT_* of each filetype
EXPORT("__syscall_getdents64") i32 guest_getdents(i32 fd, u8 *to, u32 size) {
  OpenFile *file = open_file(fd);
  if (!file) return -EBADF;
  if (!(layout.flags & FLAG_FILES)) return -ENOTDIR;
  if (size < RECORD) return -EINVAL;
  enum { ROOM = 4096 };
  u8 *entries = allocate(ROOM), *end = to + size / RECORD * RECORD, *place = to;
  i32 error = host_fd_readdir(file->host, entries, ROOM, file->cookie, state.cells);
  u32 used = error ? 0 : state.cells[0] < ROOM ? state.cells[0] : ROOM;
  for (u8 *entry = entries; place < end && entry + HEAD <= entries + used; place += RECORD) {
    u32 length = *(u32 *)(entry + 16);
    if (length >= NAME || entry + HEAD + length > entries + used) break;  // cut: it comes next time
    clear(place, RECORD);
    file->cookie = *(u64 *)entry;
    *(u64 *)place = *(u64 *)(entry + 8);
    *(u64 *)(place + 8) = file->cookie;
    *(u16 *)(place + 16) = RECORD;
    place[18] = kinds[entry[20] & 7];
    copy(place + 19, entry + HEAD, length);
    entry += HEAD + length;
  }
  free(entries);
  return error ? -error : place - to;
}

// ---- changing

static i32 change(i32 directory, const u8 *path) {
  if (!(layout.flags & FLAG_FILES)) return EROFS;
  return locate(&here, directory, path);
}
EXPORT("__syscall_mkdirat") i32 guest_mkdirat(i32 directory, const u8 *path, i32 mode) {
  i32 error = change(directory, path);
  return error ? -error : -host_path_create_directory(here.directory, here.path, here.length);
}
EXPORT("__syscall_unlinkat") i32 guest_unlinkat(i32 directory, const u8 *path, i32 flags) {
  i32 error = change(directory, path);
  if (error) return layout.flags & FLAG_FILES ? -error : -ENOENT;
  if (flags & AT_REMOVEDIR) return -host_path_remove_directory(here.directory, here.path, here.length);
  return -host_path_unlink_file(here.directory, here.path, here.length);
}
EXPORT("__syscall_rmdir") i32 guest_rmdir(const u8 *path) { return guest_unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT("__syscall_renameat") i32 guest_renameat(i32 directory, const u8 *path, i32 new_directory, const u8 *new_path) {
  i32 error = locate(&here, directory, path);
  if (!error) error = locate(&there, new_directory, new_path);
  return error ? -error : -host_path_rename(here.directory, here.path, here.length, there.directory, there.path, there.length);
}
EXPORT("__syscall_symlink") i32 guest_symlink(const u8 *target, const u8 *path) {
  i32 error = change(AT_FDCWD, path);
  return error ? -error : -host_path_symlink(target, text_length(target), here.directory, here.path, here.length);
}
EXPORT("__syscall_readlinkat") i32 guest_readlinkat(i32 directory, const u8 *path, u8 *to, u32 size) {
  i32 error = locate(&here, directory, path);
  if (error == ENOENT && *path && is_above(&here)) return -EINVAL;  // a folder, no link
  if (!error) error = host_path_readlink(here.directory, here.path, here.length, to, size, state.cells);
  return error ? -error : (i32)state.cells[0];
}
// struct timespec: i64 seconds, i32 nanoseconds, 4 bytes of padding.
enum { UTIME_NOW = 0x3FFFFFFF, UTIME_OMIT = 0x3FFFFFFE };
static u64 nanoseconds(const u8 *time) { return *(const u64 *)time * 1000000000 + *(const u32 *)(time + 8); }
static i32 time_flags(const u8 *time, i32 set) {
  u32 part = *(const u32 *)(time + 8);
  return part == UTIME_OMIT ? 0 : part == UTIME_NOW ? 2 * set : set;
}
EXPORT("__syscall_utimensat") i32 guest_utimensat(i32 directory, const u8 *path, const u8 *times, i32 flags) {
  i32 which = times ? time_flags(times, 1) | time_flags(times + 16, 4) : 2 | 8;
  u64 access = times ? nanoseconds(times) : 0, changed = times ? nanoseconds(times + 16) : 0;
  if (!path) {
    OpenFile *file = open_file(directory);
    if (!file) return -EBADF;
    return layout.flags & FLAG_FILES ? -host_fd_filestat_set_times(file->host, access, changed, which) : -EROFS;
  }
  i32 error = change(directory, path);
  return error ? -error : -host_path_filestat_set_times(here.directory, flags & AT_SYMLINK_NOFOLLOW ? 0 : FOLLOW, here.path, here.length, access, changed, which);
}

// ---- the current directory

EXPORT("__syscall_getcwd") i32 guest_getcwd(u8 *to, u32 size) {
  u32 length = current_length ? current_length : 1;
  if (!size) return -EINVAL;
  if (length + 1 > size) return -ERANGE;
  if (current_length) copy(to, current, length);
  else to[0] = '/';
  to[length] = 0;
  return (i32)length + 1;
}
EXPORT("__syscall_chdir") i32 guest_chdir(const u8 *path) {
  i32 error = stat_path(AT_FDCWD, path, 1);
  if (error) return -error;
  if (((u8 *)found)[16] != DIRECTORY) return -ENOTDIR;
  u8 *moved = allocate(here.absolute_length);
  copy(moved, here.absolute, here.absolute_length);
  free(current);
  current = moved;
  current_length = here.absolute_length;
  return 0;
}
