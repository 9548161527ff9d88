#include "gateway/simulate/simulation_report.h"

#include <fmt/format.h>

#include "gateway/inspect/lines.h"
#include "gateway/inspect/shown.h"
#include "gateway/json_writer.h"

namespace kvasir {
namespace {

constexpr double kSecondsPerDay = 86'400;

std::string_view to_string(Regime regime) { return regime == Regime::pinned ? "pinned" : "unpinned"; }

double share_of(const SimulationRow& row, std::uint32_t blocks) {
  return row.trace->unique_blocks == 0 ? 0 : static_cast<double>(blocks) / row.trace->unique_blocks;
}

double ratio(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

double saved_seconds(const SimulationRow& row, const SimulationUnits& units) {
  return static_cast<double>(row.totals.hit_tokens) / units.prefill_tokens_per_second;
}

// Blocks per day of the trace's own time.
double per_day(const SimulationRow& row, std::uint64_t blocks) {
  const double seconds = std::chrono::duration<double>(row.trace->span()).count();
  return seconds > 0 ? static_cast<double>(blocks) / seconds * kSecondsPerDay : 0;
}

class RowWriter {
 public:
  RowWriter(const SimulationRow& row, const SimulationUnits& units) : row_(row), units_(units) {}

  std::string write() {
    json_.begin_object();
    json_.member("trace", row_.trace->name).member("policy", to_string(row_.policy));
    json_.member("regime", to_string(row_.regime)).member("scale", units_.scale);
    json_.member("block_tokens", row_.trace->block_tokens).member("unique_blocks", row_.trace->unique_blocks);
    json_.member("capacity_blocks", row_.capacity_blocks);
    number("capacity_share", share_of(row_, row_.capacity_blocks));
    if (row_.wanted) {
      number("wanted_token_hit_ratio", *row_.wanted);
      json_.member("found", row_.found);
    }
    write_hits();
    if (row_.tiers) write_tiers(*row_.tiers);
    number("seconds", row_.seconds);
    json_.end_object();
    return json_.take();
  }

 private:
  void number(std::string_view name, double value) { json_.key(name).raw(fmt::format("{:.6g}", value)); }

  void write_hits() {
    const ReplayTotals& totals = row_.totals;
    json_.member("requests", totals.requests).member("input_tokens", totals.input_tokens);
    json_.member("block_uses", totals.block_uses).member("hit_blocks", totals.hit_blocks);
    json_.member("blocks_admitted", totals.admitted);
    number("token_hit_ratio", totals.token_hit_ratio());
    number("opt_token_hit_ratio", row_.opt_token_hit_ratio);
    number("lru_token_hit_ratio", row_.lru_token_hit_ratio);
    number("infinite_token_hit_ratio", row_.infinite_token_hit_ratio);
    const auto closed = row_.lru_gap_closed();
    if (closed) {
      number("lru_gap_closed", *closed);
    } else {
      json_.null_member("lru_gap_closed");
    }
    if (units_.prefill_tokens_per_second > 0) number("prefill_seconds_saved", saved_seconds(row_, units_));
    if (units_.block_bytes > 0) json_.member("capacity_bytes", row_.capacity_blocks * units_.block_bytes);
  }

  void write_tiers(const TierTotals& tiers) {
    json_.member("disk_capacity_blocks", row_.disk_blocks);
    number("host_token_hit_ratio", ratio(tiers.host_hit_tokens, tiers.all.input_tokens));
    number("disk_token_hit_ratio", ratio(tiers.disk_hit_tokens, tiers.all.input_tokens));
    json_.member("blocks_loaded", tiers.blocks_loaded).member("blocks_written", tiers.blocks_written);
    if (units_.block_bytes == 0) return;
    json_.member("bytes_loaded", tiers.blocks_loaded * units_.block_bytes);
    json_.member("bytes_written", tiers.blocks_written * units_.block_bytes);
    number("disk_bytes_written_per_day", per_day(row_, tiers.blocks_written) * static_cast<double>(units_.block_bytes));
  }

  const SimulationRow& row_;
  const SimulationUnits& units_;
  JsonWriter json_;
};

std::string percent(double ratio) { return fmt::format("{:.2f}", 100 * ratio); }

std::string capacity_text(const SimulationRow& row) {
  return fmt::format("{} ({:.4g} %)", grouped(row.capacity_blocks), 100 * share_of(row, row.capacity_blocks));
}

std::vector<std::string> titles(const SimulationRow& row, const SimulationUnits& units) {
  std::vector<std::string> out{"policy", "blocks"};
  if (units.block_bytes > 0) out.emplace_back("memory");
  out.insert(out.end(), {"hits %", "LRU", "optimum", "gap closed %"});
  if (units.prefill_tokens_per_second > 0) out.emplace_back("prefill saved");
  if (row.tiers) out.insert(out.end(), {"host %", "disk %", "loaded", "written", "written/day"});
  return out;
}

std::string amount(double blocks, const SimulationUnits& units) {
  const auto whole = static_cast<std::uint64_t>(blocks);
  return units.block_bytes > 0 ? shown_bytes(whole * units.block_bytes) : grouped(whole);
}

std::vector<std::string> cells(const SimulationRow& row, const SimulationUnits& units) {
  std::vector<std::string> out{std::string(to_string(row.policy)),
                               row.found ? capacity_text(row) : "not even with all blocks"};
  if (units.block_bytes > 0) out.push_back(shown_bytes(row.capacity_blocks * units.block_bytes));
  const auto closed = row.lru_gap_closed();
  out.insert(out.end(), {percent(row.totals.token_hit_ratio()), percent(row.lru_token_hit_ratio),
                         percent(row.opt_token_hit_ratio), closed ? fmt::format("{:.1f}", 100 * *closed) : "-"});
  if (units.prefill_tokens_per_second > 0) out.push_back(fmt::format("{:.0f} s", saved_seconds(row, units)));
  if (!row.tiers) return out;
  const TierTotals& tiers = *row.tiers;
  out.insert(out.end(), {percent(ratio(tiers.host_hit_tokens, tiers.all.input_tokens)),
                         percent(ratio(tiers.disk_hit_tokens, tiers.all.input_tokens)),
                         amount(static_cast<double>(tiers.blocks_loaded), units),
                         amount(static_cast<double>(tiers.blocks_written), units),
                         amount(per_day(row, tiers.blocks_written), units)});
  return out;
}

}  // namespace

std::string to_json(const SimulationRow& row, const SimulationUnits& units) { return RowWriter(row, units).write(); }

std::string to_text(const std::vector<SimulationRow>& rows, const SimulationUnits& units) {
  Lines lines;
  for (std::size_t i = 0; i < rows.size();) {
    const Trace& trace = *rows[i].trace;
    lines.heading(fmt::format("{}: {} requests, {} blocks of {} tokens, {}; an infinite cache hits {} %",
                              shown(trace.name), grouped(trace.requests.size()), grouped(trace.unique_blocks),
                              trace.block_tokens, to_string(rows[i].regime),
                              percent(rows[i].infinite_token_hit_ratio)));
    std::vector<std::vector<std::string>> table{titles(rows[i], units)};
    for (; i < rows.size() && rows[i].trace == &trace; ++i) table.push_back(cells(rows[i], units));
    lines.table(table);
  }
  return lines.take();
}

}  // namespace kvasir
