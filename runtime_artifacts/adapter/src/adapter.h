// What the files of the adapter share: types, the layout that an export fills in, and the state.
//
// Two rules hold in every file. There is no stack: what has an address is static or allocated. And
// static data has to end below address 1024, which Emscripten's modules leave free.
#pragma once
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t i32;
typedef uint64_t u64;
typedef int64_t i64;

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define NULL ((void *)0)

// ---- what an export fills in; dotnet_wasm_host/linking/adapter_layout.py is the Python half

// The frame of a call: dotnet_wasm_host/abi.py, Frame.cs.
typedef struct {
  i32 handle;
  u32 input;
  i32 input_length;
  i32 status;
  u32 output;
  i32 output_length;
  i32 call, function, host_error;
} Frame;

// A loaded function: the host's id for it, and the guest's handle.
typedef struct Entry {
  struct Entry *next;
  i32 handle;
  u32 length;
  u8 id[];
} Entry;

enum {
  FLAG_FILES = 1,     // the host has files: path_*, preopened directories, poll_oneoff
  FLAG_JS_LOG = 2,    // what .NET prints goes to env.js_log
  FLAG_BOOT = 4,      // memory holds assemblies, not a booted runtime
  FLAG_WORK = 8,      // the booted runtime had timers or queued work
  FLAG_PROGRAM = 16,  // _start runs a program with a Main, which reads stdin itself
  FLAG_COMMAND = 32,  // _start runs a function: stdin to stdout
};

typedef struct {
  u32 invoke, load, unload, collect;  // methods of MinimalRuntime.EntryPoints
  Frame *frame;
  Entry *functions;
  u32 flags;
  u32 heap_max;           // bytes that linear memory may grow to
  u32 assemblies, bytes;  // FLAG_BOOT: where they are and how many bytes; see boot.c
} Layout;
extern Layout layout;

// ---- state

typedef struct {
  i32 inside;   // the guest runs; what ends in a trap leaves this set, and nothing enters again
  i32 refused;  // memory could not grow
  i32 started;
  i32 work;     // queued work waits for mono_background_exec
  i32 finished; // a call that waited has ended
  u64 timer_at; // when the earliest timer is due, NEVER for none
  void *error;  // record of the last error, which the module owns
  u32 error_length;
  u32 cells[2]; // where the host writes pairs of results
} State;
extern State state;
#define NEVER (~0ull)

// ---- errno of WASI preview 1 (witx/typenames.witx), which Emscripten's C library shares

enum {
  EAFNOSUPPORT = 5, EBADF = 8, EEXIST = 20, EINVAL = 28, EISDIR = 31, EMFILE = 33, ENODEV = 43,
  ENOENT = 44, ENOMEM = 48, ENOTDIR = 54, ENOTSOCK = 57, ENOTTY = 59, ERANGE = 68, EROFS = 69,
  ESPIPE = 70,
};

// ---- the guest

IMPORT("mono", "malloc") void *malloc(u32);
IMPORT("mono", "free") void free(void *);
IMPORT("mono", "mono_wasm_setenv") void mono_setenv(const void *, const void *);
IMPORT("mono", "mono_wasm_set_main_args") void mono_set_main_args(i32, void *);
IMPORT("mono", "mono_wasm_invoke_jsexport") void mono_invoke(u32 method, void *frame);
IMPORT("mono", "mono_background_exec") void mono_background_exec(void);

// ---- one file's functions that others use

u64 now(i32 clock);               // clock.c; 0: the wall's, 1: monotonic
void wait_until(u64 monotonic);
void say(const void *text, u32 length);  // streams.c: a line for people
void write_all(i32 fd, const void *data, u32 length);
u8 *read_all(u32 *length);        // standard input; for free()
_Noreturn void stop(i32 code);    // process.c
void start(void);
void work(i32 wait);              // scheduling.c
void enter(u32 method, i32 handle, const void *input, u32 length);  // functions.c
i32 invoke(const u8 *id, u32 id_length, const u8 *payload, u32 length, u32 *result, u32 *result_length);
i32 load_request(const u8 *id, u32 id_length, const u8 *request, u32 length);
void boot(void);                  // boot.c

static inline void *allocate(u32 size) {
  void *block = malloc(size ? size : 1);
  if (!block) __builtin_trap();
  return block;
}
static inline void copy(void *to, const void *from, u32 length) { __builtin_memcpy(to, from, length); }
static inline void *clear(void *to, u32 length) { return __builtin_memset(to, 0, length); }
static inline u32 text_length(const u8 *text) {
  u32 length = 0;
  while (text[length]) length++;
  return length;
}
static inline i32 equal(const u8 *a, const u8 *b, u32 length) {
  for (u32 i = 0; i < length; i++)
    if (a[i] != b[i]) return 0;
  return 1;
}
#define LITERAL(text) (const void *)(text), sizeof(text) - 1
