"""Structures that host and guest share, and the numbers that go into them.

The guest's C library is musl as Emscripten 3.1.56 ships it for wasm32: little-endian, 32-bit
pointers, 64-bit ``off_t``, ``ino_t`` and ``time_t``. The layouts were read off the JavaScript
that .NET 10.0.10 ships beside its module (``dotnet.native.*.js``); the function to look at is
named with each of them. Field names are musl's.
"""

from __future__ import annotations

import struct

__all__ = [
    "CIVIL_TM",
    "DIRENT",
    "DIRENT_NAME_BYTES",
    "FDSTAT",
    "FLOCK_TYPE",
    "IOVEC",
    "LOCAL_TM",
    "POINTER",
    "STAT",
    "STATFS",
    "TIMESPEC",
    "TM",
    "TZNAME_BYTES",
]

#: A pointer, ``size_t``, or an i32 vararg.
POINTER = struct.Struct("<I")

#: WASI preview 1 ``__wasi_iovec_t`` and ``__wasi_ciovec_t``: buf, buf_len. ``doReadv``.
IOVEC = struct.Struct("<II")

#: WASI preview 1 ``__wasi_fdstat_t``: fs_filetype (u8), fs_flags (u16 at 2), fs_rights_base
#: (u64 at 8), fs_rights_inheriting (u64 at 16). ``_fd_fdstat_get``.
FDSTAT = struct.Struct("<BxHxxxxQQ")

#: ``struct stat``: st_dev, st_mode, st_nlink, st_uid, st_gid, st_rdev, st_size (at 24),
#: st_blksize, st_blocks, then st_atim, st_mtim, st_ctim (each i64 seconds, i32 nanoseconds and
#: 4 bytes of padding, from 40), st_ino (at 88). ``SYSCALLS.doStat``.
STAT = struct.Struct("<6Iqii qi4x qi4x qi4x Q")

#: ``struct dirent``: d_ino, d_off, d_reclen (u16 at 16), d_type (u8 at 18), d_name[256] (at 19),
#: padded to 280 bytes. Records have a fixed size. ``___syscall_getdents64``.
DIRENT = struct.Struct("<QqHB256s5x")
#: ``sizeof d_name``, with its NUL.
DIRENT_NAME_BYTES = 256

#: ``struct statfs``: f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_fsid[2],
#: f_namelen (at 36), f_frsize (at 40), f_flags (at 44), f_spare[4]. ``___syscall_statfs64``.
STATFS = struct.Struct("<12I16x")

#: ``struct timespec``: tv_sec, tv_nsec. ``___syscall_utimensat``.
TIMESPEC = struct.Struct("<qi4x")

#: The part of ``struct tm`` that ``_gmtime_js`` sets: tm_sec, tm_min, tm_hour, tm_mday, tm_mon,
#: tm_year, tm_wday, tm_yday. The C function around it sets the rest.
CIVIL_TM = struct.Struct("<8i")
#: What ``_localtime_js`` sets: the above, tm_isdst, tm_gmtoff.
LOCAL_TM = struct.Struct("<10i")
#: All of ``struct tm``: the above, and tm_zone, a pointer. ``_strftime``.
TM = struct.Struct("<10iI")
#: Room for a time zone's name behind ``tzname``, with its NUL. ``__tzset_js``.
TZNAME_BYTES = 7

#: ``l_type``, the first member of ``struct flock``. ``___syscall_fcntl64``, case F_GETLK.
FLOCK_TYPE = struct.Struct("<h")
