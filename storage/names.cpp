#include <cstdlib>

#include "storage/prefix_cache.h"

namespace kvasir {

std::string_view to_string(Tier tier) {
  switch (tier) {
    case Tier::host:
      return "host";
    case Tier::disk:
      return "disk";
  }
  std::abort();
}

std::string_view to_string(EvictionReason reason) {
  switch (reason) {
    case EvictionReason::capacity:
      return "capacity";
    case EvictionReason::corrupt:
      return "corrupt";
  }
  std::abort();
}

std::string_view to_string(RecordFault fault) {
  switch (fault) {
    case RecordFault::checksum:
      return "checksum";
    case RecordFault::truncated:
      return "truncated";
    case RecordFault::missing:
      return "missing";
    case RecordFault::wrong_tokens:
      return "wrong_tokens";
    case RecordFault::wrong_fingerprint:
      return "wrong_fingerprint";
    case RecordFault::wrong_size:
      return "wrong_size";
    case RecordFault::version:
      return "version";
    case RecordFault::io:
      return "io";
  }
  std::abort();
}

}  // namespace kvasir
