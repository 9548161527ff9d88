#include "tests/support/failing_disk.h"

namespace kvasir::testing {
namespace {

class FailingFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FailingFile(std::unique_ptr<rocksdb::FSWritableFile> file, FailingDisk* disk)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk) {}
  using FSWritableFileOwnerWrapper::Append;
  using FSWritableFileOwnerWrapper::PositionedAppend;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
    return spend(data) ? FSWritableFileOwnerWrapper::Append(data, options, context)
                       : rocksdb::IOStatus::NoSpace("injected");
  }
  rocksdb::IOStatus PositionedAppend(const rocksdb::Slice& data, std::uint64_t offset,
                                     const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    return spend(data) ? FSWritableFileOwnerWrapper::PositionedAppend(data, offset, options, context)
                       : rocksdb::IOStatus::NoSpace("injected");
  }

 private:
  bool spend(const rocksdb::Slice& data) {
    if (disk_->full) return false;
    return (disk_->bytes_left -= static_cast<std::int64_t>(data.size())) >= 0;
  }
  FailingDisk* const disk_;
};

class FailingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FailingFileSystem(FailingDisk* disk) : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}
  const char* Name() const override { return "FailingFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    if (disk_->full) return rocksdb::IOStatus::NoSpace("injected");
    auto status = FileSystemWrapper::NewWritableFile(path, options, file, context);
    if (status.ok()) *file = std::make_unique<FailingFile>(std::move(*file), disk_);
    return status;
  }

 private:
  FailingDisk* const disk_;
};

}  // namespace

FailingDisk::FailingDisk() : env_(rocksdb::NewCompositeEnv(std::make_shared<FailingFileSystem>(this))) {}

}  // namespace kvasir::testing
