#pragma once

#include <string>
#include <utility>
#include <variant>

#include "storage/base/assert.h"

namespace kvasir {

// What kind of expected failure an Error is. The gateway maps these to HTTP statuses; see gateway/api/errors.h.
enum class ErrorCode : std::uint8_t {
  invalid_argument,  // the caller's input is wrong; the message names the field and what is allowed
  too_large,         // the input is over a limit
  not_found,
  unauthorized,
  queue_full,     // try again later
  shutting_down,  // draining; no new work
  corrupt,        // stored or mapped bytes fail a check
  unsupported,    // well-formed, but kvasir cannot do it
  io,             // the operating system or a library refused
  cancelled,
};

struct Error {
  ErrorCode code = ErrorCode::invalid_argument;
  std::string message;  // one sentence for a person; names the field where there is one
  std::string param;    // the field at fault ("messages[2].content"), or empty
};

struct Ok {};

// A value or an Error: the one result type of the project. Expected failures travel in it; broken invariants assert;
// start-up may throw. Not thread-safe, as values are not.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    KVASIR_ASSERT(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    KVASIR_ASSERT(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    KVASIR_ASSERT(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    KVASIR_ASSERT(!ok());
    return std::get<1>(state_);
  }
  Error&& error() && {
    KVASIR_ASSERT(!ok());
    return std::get<1>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<Ok>;

inline Error error(ErrorCode code, std::string message, std::string param = {}) {
  return Error{code, std::move(message), std::move(param)};
}

}  // namespace kvasir
