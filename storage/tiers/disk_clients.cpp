#include "storage/tiers/disk_clients.h"

#include "storage/base/assert.h"

namespace kvasir::disk {

void DiskClients::add(const Fingerprint& fingerprint, std::function<void()> on_ready) {
  std::lock_guard lock(mutex_);
  const bool added = clients_.try_emplace(fingerprint, Client{std::move(on_ready), {}, 0, false}).second;
  KVASIR_ASSERT(added);  // one client for each fingerprint
}

void DiskClients::remove(const Fingerprint& fingerprint) {
  std::unique_lock lock(mutex_);
  const auto client = clients_.find(fingerprint);
  if (client == clients_.end()) return;
  client->second.leaving = true;
  idle_.wait(lock, [&] { return client->second.uses == 0; });
  clients_.erase(client);
}

void DiskClients::post(const Fingerprint& fingerprint, DiskCompletion completion) {
  std::unique_lock lock(mutex_);
  const auto found = clients_.find(fingerprint);
  if (found == clients_.end() || found->second.leaving) return;
  Client& client = found->second;
  const bool first = client.completions.empty();
  client.completions.push_back(completion);
  if (!first) return;
  ++client.uses;
  lock.unlock();
  client.on_ready();
  release(fingerprint);
}

std::vector<DiskCompletion> DiskClients::drain(const Fingerprint& fingerprint) {
  std::lock_guard lock(mutex_);
  const auto found = clients_.find(fingerprint);
  return found == clients_.end() ? std::vector<DiskCompletion>{} : std::exchange(found->second.completions, {});
}

void DiskClients::acquire(const Fingerprint& fingerprint) {
  std::lock_guard lock(mutex_);
  const auto found = clients_.find(fingerprint);
  KVASIR_ASSERT(found != clients_.end() && !found->second.leaving);
  ++found->second.uses;
}

void DiskClients::release(const Fingerprint& fingerprint) {
  std::lock_guard lock(mutex_);
  if (--clients_.at(fingerprint).uses == 0) idle_.notify_all();
}

DiskClients::Use::Use(DiskClients& clients, const Fingerprint& fingerprint)
    : clients_(&clients), fingerprint_(fingerprint) {
  clients.acquire(fingerprint);
}

DiskClients::Use::~Use() {
  if (clients_) clients_->release(fingerprint_);
}

}  // namespace kvasir::disk
