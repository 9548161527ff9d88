#include "storage/tiers/disk_folder.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/tiers/disk_record.h"

namespace kvasir::disk {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = "KVASIR_LOCK";
constexpr const char* kIdentityName = "KVASIR_STORE";

constexpr const char* kIdentityStart = "kvasir prefix store, format ";

std::string identity_text() { return fmt::format("{}{}\n", kIdentityStart, kFormatVersion); }

bool starts_with(const std::string& name, const char* prefix) { return name.rfind(prefix, 0) == 0; }
bool ends_with(const std::string& name, const std::string& suffix) {
  return name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// Names that RocksDB gives its files.
bool is_store_file(const std::string& name) {
  for (const char* prefix : {"MANIFEST-", "OPTIONS-", "LOG"})
    if (starts_with(name, prefix)) return true;
  for (const char* suffix : {".sst", ".blob", ".log", ".dbtmp"})
    if (ends_with(name, suffix)) return true;
  return name == "CURRENT" || name == "IDENTITY" || name == "lost";
}

// Ours besides RocksDB's; "secret" is the gateway's, which salts are made with.
bool is_own_file(const std::string& name) {
  return name == kLockName || name == kIdentityName || name == "LOCK" || name == "lost+found" || name == "secret";
}

Error io_error(const std::string& what, const std::string& path) {
  return error(ErrorCode::io, fmt::format("disk tier: cannot {} {}: {}", what, path, std::strerror(errno)));
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Status write_identity(const std::string& folder) {
  const std::string path = folder + "/" + kIdentityName, text = identity_text();
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) return io_error("write", path);
  const bool written =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  const int saved = errno;
  ::close(file);
  errno = saved;
  return written ? Status(Ok{}) : io_error("write", path);
}

void add_usage(const fs::path& path, FolderUsage* usage) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return;  // removed meanwhile
  const auto bytes = static_cast<std::uint64_t>(found.st_blocks) * 512;
  usage->bytes += bytes;
  usage->files += 1;
  const std::string name = path.filename().string();
  if (ends_with(name, ".sst")) usage->table_bytes += bytes;
  if (starts_with(name, "MANIFEST-")) usage->manifest_bytes += bytes;
}

}  // namespace

FolderUsage measure_folder(const std::string& path) {
  FolderUsage usage;
  add_usage(path, &usage);
  std::error_code ignored;
  for (fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, ignored), end;
       at != end; at.increment(ignored)) {
    add_usage(at->path(), &usage);
    if (ignored) break;
  }
  return usage;
}

Result<StoreFolder> StoreFolder::open(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed)
    return error(ErrorCode::io, fmt::format("disk tier: cannot make the folder {}: {}", path, failed.message()));
  const std::string lock_path = path + "/" + kLockName;
  const int lock = ::open(lock_path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (lock < 0) return io_error("write in the folder; opening", lock_path);
  StoreFolder folder(path, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0)
    return error(ErrorCode::io, fmt::format("disk tier: the folder {} is in use by another process", path));
  if (::chmod(path.c_str(), 0700) != 0) return io_error("set mode 0700 of", path);
  if (Status status = folder.identify(); !status) return status.error();
  return folder;
}

Status StoreFolder::identify() {
  const std::string identity_path = path_ + "/" + kIdentityName;
  const std::string found = read_text(identity_path);
  if (found == identity_text()) return Ok{};
  bool store = false;
  std::string foreign;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(path_, failed)) {
    const std::string name = entry.path().filename().string();
    if (is_store_file(name))
      store = true;
    else if (!is_own_file(name))
      foreign = name;
  }
  if (failed) return error(ErrorCode::io, fmt::format("disk tier: cannot list {}: {}", path_, failed.message()));
  if (!foreign.empty() && found.empty())
    return error(ErrorCode::corrupt,
                 fmt::format("disk tier: the folder {} holds files that are not a kvasir store's ({}); "
                             "choose another or empty it",
                             path_, foreign));
  // A damaged identity is no reason to drop the store: every record says its version too.
  const bool other_format = starts_with(found, kIdentityStart);
  if (store && other_format) clear();
  store_dropped_ = store && other_format;
  return write_identity(path_);
}

bool StoreFolder::direct_io() const {
  const int file = ::open((path_ + "/" + kIdentityName).c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (file >= 0) ::close(file);
  return file >= 0;
}

void StoreFolder::clear() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path_, ignored))
    if (is_store_file(entry.path().filename().string())) fs::remove_all(entry.path(), ignored);
}

StoreFolder::StoreFolder(StoreFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), store_dropped_(other.store_dropped_) {}

StoreFolder::~StoreFolder() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace kvasir::disk
