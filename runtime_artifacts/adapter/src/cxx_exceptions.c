// C++ exceptions of the runtime, which Emscripten leaves to the host. The Python side of the same is
// dotnet_wasm_host/imports/cxx_exceptions.py.
#include "adapter.h"

IMPORT("guard", "raise") void raise(void);  // every caller returns, up to the nearest invoke_vi
IMPORT("mono", "setThrew") void set_threw(i32, i32);
IMPORT("mono", "setTempRet0") void set_second_result(u32);
IMPORT("mono", "__cxa_increment_exception_refcount") void increment_count(u32);
IMPORT("mono", "__cxa_decrement_exception_refcount") void decrement_count(u32);
IMPORT("mono", "__cxa_can_catch") i32 can_catch(u32 wanted, u32 type, u32 *adjusted);
IMPORT("mono", "__cxa_is_pointer_type") i32 is_pointer_type(u32);

// Before a thrown object: __cxa_exception of Emscripten's libcxxabi.
typedef struct {
  u32 count, type, destructor;
  u8 caught, rethrown;
  u32 adjusted, padding;
} Header;
#define HEADER(thrown) ((Header *)((thrown) - sizeof(Header)))
enum { MOST = 16 };
static u32 last, caught[MOST], depth;

EXPORT("__cxa_throw") void guest_throw(u32 thrown, u32 type, u32 destructor) {
  Header *header = HEADER(thrown);
  header->adjusted = 0;
  header->type = type;
  header->destructor = destructor;
  last = thrown;
  raise();
}
EXPORT("__resumeException") void guest_resume(u32 thrown) {
  if (!last) last = thrown;
  raise();
}
EXPORT("__cxa_find_matching_catch_3") u32 guest_find_catch(u32 wanted) {
  u32 type = 0;
  if (last) {
    Header *header = HEADER(last);
    header->adjusted = last;
    type = header->type;
    if (type && wanted && wanted != type && can_catch(wanted, type, &header->adjusted)) type = wanted;
  }
  set_second_result(type);
  return last;
}
EXPORT("llvm_eh_typeid_for") u32 guest_type_id(u32 type) { return type; }
EXPORT("__cxa_begin_catch") u32 guest_begin_catch(u32 thrown) {
  Header *header = HEADER(thrown);
  header->caught = 1;
  header->rethrown = 0;
  if (depth == MOST) __builtin_trap();
  caught[depth++] = thrown;
  increment_count(thrown);
  if (is_pointer_type(header->type)) return *(u32 *)thrown;
  return header->adjusted ? header->adjusted : thrown;
}
EXPORT("__cxa_end_catch") void guest_end_catch(void) {
  if (!depth) __builtin_trap();
  set_threw(0, 0);
  decrement_count(caught[--depth]);
  last = 0;
}
