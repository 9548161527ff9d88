#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "storage/tiers/disk_tier.h"

namespace kvasir::disk {

// Who uses the tier, and what is finished for them. Thread-safe.
//
// A client is told once that it has completions, and again only after it took them. remove() returns when none of its
// buffers is held by a Use and its callback is not running.
class DiskClients {
 public:
  void add(const Fingerprint& fingerprint, std::function<void()> on_ready);
  void remove(const Fingerprint& fingerprint);
  void post(const Fingerprint& fingerprint, DiskCompletion completion);  // dropped when there is no such client
  std::vector<DiskCompletion> drain(const Fingerprint& fingerprint);

  // Held from the moment a buffer of the client is handed over until it is not used any more. REQUIRES: the client is
  // there and not being removed.
  class Use {
   public:
    Use(DiskClients& clients, const Fingerprint& fingerprint);
    Use(Use&& other) noexcept : clients_(std::exchange(other.clients_, nullptr)), fingerprint_(other.fingerprint_) {}
    Use& operator=(Use&& other) noexcept {
      std::swap(clients_, other.clients_);
      std::swap(fingerprint_, other.fingerprint_);
      return *this;
    }
    ~Use();

   private:
    DiskClients* clients_;
    Fingerprint fingerprint_;
  };

 private:
  struct Client {
    std::function<void()> on_ready;
    std::vector<DiskCompletion> completions;
    std::uint32_t uses = 0;
    bool leaving = false;
  };
  void acquire(const Fingerprint& fingerprint);
  void release(const Fingerprint& fingerprint);

  std::mutex mutex_;
  std::condition_variable idle_;
  std::map<Fingerprint, Client> clients_;
};

}  // namespace kvasir::disk
