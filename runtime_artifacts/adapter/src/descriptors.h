// Open files: what the guest's numbers mean.
#pragma once
#include "adapter.h"

typedef struct {
  i32 host;        // the host's number
  u32 references;  // how many of the guest's numbers mean it
  u32 flags;       // O_* it was opened with
  u64 cookie;      // where the next entry of a directory is
} OpenFile;

OpenFile *open_file(i32 fd);                   // NULL if there is none
i32 add_descriptor(OpenFile *file, i32 from);  // the lowest free number not below `from`, or -EMFILE
