// Functions of WASI preview 1 that a host may give (witx/wasi_snapshot_preview1.witx).
#pragma once
#include "adapter.h"

#define WASI(name) IMPORT("wasi_snapshot_preview1", name)

// What every host of the original document's gives; wasi="original" imports nothing else.
WASI("args_get") i32 host_args_get(u32 *list, u8 *text);
WASI("args_sizes_get") i32 host_args_sizes_get(u32 *count, u32 *size);
WASI("clock_time_get") i32 host_clock_time_get(i32 clock, u64 precision, u64 *time);
WASI("environ_get") i32 host_environ_get(u32 *list, u8 *text);
WASI("environ_sizes_get") i32 host_environ_sizes_get(u32 *count, u32 *size);
WASI("fd_close") i32 host_fd_close(i32 fd);
WASI("fd_read") i32 host_fd_read(i32 fd, const u32 *vectors, i32 count, u32 *read);
WASI("fd_write") i32 host_fd_write(i32 fd, const u32 *vectors, i32 count, u32 *written);
WASI("proc_exit") void host_proc_exit(i32 code);
WASI("random_get") i32 host_random_get(void *to, u32 length);

// wasi="full".
WASI("fd_fdstat_get") i32 host_fd_fdstat_get(i32 fd, void *stat);
WASI("fd_filestat_get") i32 host_fd_filestat_get(i32 fd, void *stat);
WASI("fd_filestat_set_size") i32 host_fd_filestat_set_size(i32 fd, u64 size);
WASI("fd_filestat_set_times") i32 host_fd_filestat_set_times(i32 fd, u64 access, u64 change, i32 flags);
WASI("fd_pread") i32 host_fd_pread(i32 fd, const u32 *vectors, i32 count, u64 offset, u32 *read);
WASI("fd_prestat_dir_name") i32 host_fd_prestat_dir_name(i32 fd, u8 *path, u32 length);
WASI("fd_prestat_get") i32 host_fd_prestat_get(i32 fd, u32 *prestat);
WASI("fd_pwrite") i32 host_fd_pwrite(i32 fd, const u32 *vectors, i32 count, u64 offset, u32 *written);
WASI("fd_readdir") i32 host_fd_readdir(i32 fd, void *to, u32 length, u64 cookie, u32 *used);
WASI("fd_seek") i32 host_fd_seek(i32 fd, i64 offset, i32 whence, u64 *position);
WASI("fd_sync") i32 host_fd_sync(i32 fd);
WASI("path_create_directory") i32 host_path_create_directory(i32 fd, const u8 *path, u32 length);
WASI("path_filestat_get") i32 host_path_filestat_get(i32 fd, i32 lookup, const u8 *path, u32 length, void *stat);
WASI("path_filestat_set_times") i32 host_path_filestat_set_times(i32 fd, i32 lookup, const u8 *path, u32 length, u64 access, u64 change, i32 flags);
WASI("path_open") i32 host_path_open(i32 fd, i32 lookup, const u8 *path, u32 length, i32 open, u64 rights, u64 inheriting, i32 flags, i32 *opened);
WASI("path_readlink") i32 host_path_readlink(i32 fd, const u8 *path, u32 length, void *to, u32 size, u32 *used);
WASI("path_remove_directory") i32 host_path_remove_directory(i32 fd, const u8 *path, u32 length);
WASI("path_rename") i32 host_path_rename(i32 fd, const u8 *path, u32 length, i32 new_fd, const u8 *new_path, u32 new_length);
WASI("path_symlink") i32 host_path_symlink(const u8 *target, u32 target_length, i32 fd, const u8 *path, u32 length);
WASI("path_unlink_file") i32 host_path_unlink_file(i32 fd, const u8 *path, u32 length);
WASI("poll_oneoff") i32 host_poll_oneoff(const void *subscriptions, void *events, u32 count, u32 *happened);

// Beside WASI: a line for the console, as the original's host shows it.
IMPORT("env", "js_log") void host_js_log(const void *text, u32 length);
