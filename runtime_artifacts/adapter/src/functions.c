// What the host calls: the exports of the original TypeScript host's module, and last_error.
//
// Statuses are the original's: 0 for success, 1 for everything else. After a call that ended in a
// trap, or in memory that ran out, every call answers 1: the guest is in the middle of something.
#include "adapter.h"

enum { OK = 0, NOT_LOADED = 2, PENDING = 5 };  // Frame.cs
enum { MOST = 1 << 30 };

static i32 is_broken(void) { return state.inside || state.refused; }

void enter(u32 method, i32 handle, const void *input, u32 length) {
  Frame *frame = layout.frame;
  frame->handle = handle;
  frame->input = (u32)input;
  frame->input_length = (i32)length;
  frame->status = OK;
  frame->call = 0;
  frame->function = -1;
  frame->host_error = 0;
  state.inside = 1;
  mono_invoke(method, frame);
  state.inside = 0;
}

static Entry **find(const u8 *id, u32 length) {
  Entry **place = &layout.functions;
  for (; *place; place = &(*place)->next)
    if ((*place)->length == length && equal((*place)->id, id, length)) break;
  return place;
}
static void forget(Entry **place) {
  Entry *entry = *place;
  if (!entry) return;
  *place = entry->next;
  free(entry);
}

static void forget_error(void) {
  free(state.error);
  state.error = NULL;
  state.error_length = 0;
}
// Keeps the guest's record: the managed heap moves.
static i32 fail(void) {
  Frame *frame = layout.frame;
  u32 length = (u32)frame->output_length;
  state.error = malloc(length + 1);
  if (!state.error) return 1;
  copy(state.error, (const void *)frame->output, length);
  state.error_length = length;
  return 1;
}

// Attends to a call that waits; 0 if nothing would ever end it.
static i32 await(i32 call) {
  Frame *frame = layout.frame;
  for (;;) {
    state.finished = 0;
    work(1);
    if (!state.finished && !state.work && state.timer_at == NEVER) return 0;
    enter(layout.collect, 0, NULL, 0);
    if (frame->status != PENDING && frame->handle == call) return 1;
  }
}

EXPORT("invoke") i32 invoke(const u8 *id, u32 id_length, const u8 *payload, u32 length, u32 *result, u32 *result_length) {
  if (is_broken()) return 1;
  start();
  forget_error();
  Entry *entry = *find(id, id_length);
  if (!entry || length > MOST) return 1;
  Frame *frame = layout.frame;
  enter(layout.invoke, entry->handle, payload, length);
  if (frame->status == PENDING && !await(frame->handle)) return 1;
  if (frame->status != OK) {
    fail();
    work(0);
    return 1;
  }
  u32 size = (u32)frame->output_length;
  void *taken = malloc(size ? size : 1);
  if (!taken) return 1;
  copy(taken, (const void *)frame->output, size);
  *result = (u32)taken;
  *result_length = size;
  if (state.work || state.timer_at != NEVER) work(0);
  return 0;
}
EXPORT("free_result") void free_result(void *result) { free(result); }

static u8 *put(u8 *to, const void *bytes, u32 length) {
  *(u32 *)to = length;
  copy(to + 4, bytes, length);
  return to + 4 + length;
}
// `request` is abi.pack_load's.
i32 load_request(const u8 *id, u32 id_length, const u8 *request, u32 length) {
  Entry *entry = malloc(sizeof *entry + id_length);
  if (!entry) return 1;
  enter(layout.load, 0, request, length);
  Frame *frame = layout.frame;
  forget(find(id, id_length));  // replaced; or unloaded, and the new one failed
  if (frame->status != OK) {
    free(entry);
    return fail();
  }
  entry->handle = frame->handle;
  entry->length = id_length;
  copy(entry->id, id, id_length);
  entry->next = layout.functions;
  layout.functions = entry;
  return 0;
}
EXPORT("load_assembly") i32 load_assembly(const u8 *id, u32 id_length, const u8 *image, u32 length) {
  if (is_broken() || id_length > MOST || length > MOST) return 1;
  start();
  forget_error();
  u32 size = 4 + id_length + 4 + 4 + length + 4 + 4;
  u8 *request = malloc(size);
  if (!request) return 1;
  u8 *end = put(put(put(request, id, id_length), NULL, 0), image, length);
  put(put(end, NULL, 0), NULL, 0);  // no dependencies, no symbols
  i32 status = load_request(id, id_length, request, size);
  free(request);
  work(0);
  return status;
}
// As the original: what is not loaded is unloaded already.
EXPORT("unload_assembly") i32 unload_assembly(const u8 *id, u32 id_length) {
  if (is_broken() || id_length > MOST) return 1;
  start();
  forget_error();
  u8 *request = malloc(4 + id_length);
  if (!request) return 1;
  put(request, id, id_length);
  forget(find(id, id_length));
  enter(layout.unload, 0, request, 4 + id_length);
  free(request);
  i32 status = layout.frame->status;
  work(0);
  return status != OK && status != NOT_LOADED;
}
// Beyond the original: the record of the last error (ErrorRecord.cs), there until the next call.
EXPORT("last_error") i32 last_error(u32 *record, u32 *length) {
  *record = (u32)state.error;
  *length = state.error_length;
  return state.error != NULL;
}
