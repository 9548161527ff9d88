#pragma once

#include <string>

namespace kvasir::testing {

// A fresh folder under the system's temporary folder, removed with everything in it at the end of the scope.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// `../shared/data` beside the checkout, or what KVASIR_SHARED_DATA says; empty when it is not there (tests that want
// real data say so and skip).
std::string shared_data_dir();

// The default model's file when ./run or ./test fetched it (KVASIR_MODEL, or models/ in the checkout); else empty.
std::string default_model_path();

// Gemma 3 270M when ./test fetched it (KVASIR_GEMMA3, or models/ in the checkout); else empty.
std::string gemma_model_path();

}  // namespace kvasir::testing
