#include "engine/cpu/attention_plan.h"

#include <algorithm>

#include "engine/cpu/kernels.h"
#include "storage/base/ids.h"

namespace kvasir {

using cpu::kQueryTile;
using cpu::kSegmentTokens;

namespace {
constexpr std::uint32_t kNoState = ~0u;
constexpr std::uint32_t kTasksOfThread = 4;  // so many that all threads end together
}  // namespace

void AttentionPlan::make(std::span<const RowRun> runs) {
  parts_.clear();
  tasks_.clear();
  level_ends_.clear();
  splits_.clear();
  states_ = partials_ = 0;
  add_rows(runs);
  find_families(runs);
  for (std::uint32_t run = 0; run < runs.size(); ++run) add_own_part(runs, run);
  std::uint32_t levels = 0;
  for (const Part& part : parts_) levels = std::max(levels, part.level + 1);
  for (std::uint32_t level = 0; level < levels; ++level) cut(level);
}

std::span<const AttentionPlan::Task> AttentionPlan::level(std::uint32_t level) const {
  const std::uint32_t begin = level == 0 ? 0 : level_ends_[level - 1];
  return std::span(tasks_).subspan(begin, level_ends_[level] - begin);
}

std::uint32_t AttentionPlan::first_segment(std::uint32_t limit) const {
  return shape_.window != 0 && limit > shape_.window ? (limit - shape_.window) / kSegmentTokens : 0;
}

void AttentionPlan::add_rows(std::span<const RowRun> runs) {
  rows_.clear();
  first_rows_.clear();
  shared_.assign(runs.size(), {});
  for (const RowRun& run : runs) {
    first_rows_.push_back(static_cast<std::uint32_t>(rows_.size()));
    for (std::uint32_t i = 0; i < run.rows; ++i)
      rows_.push_back({run.first_row + i, run.first_position + i + 1, kNoState});
  }
}

// ---- parts ----------------------------------------------------------------------------------------------------------

std::uint32_t AttentionPlan::segment_blocks() const { return kSegmentTokens / shape_.block_tokens; }

// Those of segments that all rows of the run see to the end. The block of its first row is its own, and not among them
// unless it is full.
std::span<const std::uint8_t* const> AttentionPlan::whole_blocks(const RowRun& run) const {
  return run.blocks.first(std::size_t{(run.first_position + 1) / kSegmentTokens} * segment_blocks());
}

void AttentionPlan::find_families(std::span<const RowRun> runs) {
  order_.clear();
  for (std::uint32_t run = 0; run < runs.size(); ++run)  // more rows fill tiles of their own
    if (runs[run].rows * shape_.group <= kTilesPerTask * kQueryTile && !whole_blocks(runs[run]).empty())
      order_.push_back(run);
  if (order_.size() < 2) return;
  std::ranges::sort(order_, [&](std::uint32_t a, std::uint32_t b) {
    const auto left = whole_blocks(runs[a]), right = whole_blocks(runs[b]);
    return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end(), std::less<>());
  });
  common_.clear();
  for (std::size_t i = 0; i + 1 < order_.size(); ++i) {
    const auto left = whole_blocks(runs[order_[i]]), right = whole_blocks(runs[order_[i + 1]]);
    const auto end = std::mismatch(left.begin(), left.end(), right.begin(), right.end()).first;
    common_.push_back(static_cast<std::uint32_t>(end - left.begin()) / segment_blocks());
  }
  share(runs, {0, order_.size(), {}});
}

void AttentionPlan::share(std::span<const RowRun> runs, const Family& family) {
  Shared next = family.at;
  if (family.end - family.begin > 1 && next.level < kLevelsMax) {
    const auto in_common = std::span(common_).subspan(family.begin, family.end - family.begin - 1);
    next.segments = *std::min_element(in_common.begin(), in_common.end());
    if (next.segments > family.at.segments && add_shared_part(runs, family, next.segments)) {
      next.resumes = true;
      ++next.level;
    }
    for (std::size_t begin = family.begin, end; begin < family.end; begin = end) {
      for (end = begin + 1; end < family.end && common_[end - 1] > next.segments;) ++end;
      share(runs, {begin, end, next});
    }
    return;
  }
  for (std::size_t i = family.begin; i < family.end; ++i) shared_[order_[i]] = next;
}

bool AttentionPlan::add_shared_part(std::span<const RowRun> runs, const Family& family, std::uint32_t end) {
  const auto members = std::span(order_).subspan(family.begin, family.end - family.begin);
  const auto position = [&](std::uint32_t run) { return runs[run].first_position; };
  const std::uint32_t first = position(*std::ranges::min_element(members, {}, position));
  const std::uint32_t from = std::max(family.at.segments, first_segment(first + 1));
  if (from >= end) return false;
  const auto first_row = static_cast<std::uint32_t>(rows_.size());
  const auto last_position = [&](std::uint32_t run) { return runs[run].first_position + runs[run].rows; };
  const RowRun& longest = runs[*std::ranges::max_element(members, {}, last_position)];  // kernels look ahead in it
  for (const std::uint32_t run : members)
    for (std::uint32_t i = 0; i < runs[run].rows; ++i) {
      Row& row = rows_[first_rows_[run] + i];
      if (row.state == kNoState) row.state = states_++;
      rows_.push_back(Row(row));
    }
  std::ranges::stable_sort(rows_.begin() + first_row, rows_.end(), {}, &Row::limit);
  parts_.push_back({first_row, static_cast<std::uint32_t>(rows_.size()) - first_row, longest.blocks.data(), from, end,
                    family.at.resumes, true, family.at.level});
  return true;
}

void AttentionPlan::add_own_part(std::span<const RowRun> runs, std::uint32_t run) {
  const RowRun& r = runs[run];
  const Shared& at = shared_[run];
  const std::uint32_t from = std::max(at.segments, first_segment(r.first_position + 1));
  const std::uint32_t end = div_ceil(r.first_position + r.rows, kSegmentTokens);
  parts_.push_back({first_rows_[run], r.rows, r.blocks.data(), from, end, at.resumes, false, at.level});
}

// ---- tasks ----------------------------------------------------------------------------------------------------------

// The tile that begins with this query of a part, as a task for the first KV head.
AttentionPlan::Task AttentionPlan::tile_of(const Part& part, std::uint32_t query) const {
  const std::uint32_t queries = std::min(kQueryTile, part.rows * shape_.group - query);
  const std::uint32_t first_limit = rows_[part.first_row + query / shape_.group].limit;
  const std::uint32_t last_limit = rows_[part.first_row + (query + queries - 1) / shape_.group].limit;
  const std::uint32_t end = std::min(part.end_segment, div_ceil(last_limit, kSegmentTokens));
  const std::uint32_t from = std::min(std::max(part.first_segment, first_segment(first_limit)), end);
  return {part.blocks,  part.first_row, 0,      query, queries, from, end - from,
          part.resumes, part.suspends,  kWhole, kWhole};
}

// About what a tile takes: queries beside those that share a load cost three quarters of it.
std::uint64_t AttentionPlan::cost(const Task& tile) { return std::uint64_t{tile.queries + 3} * tile.segments + 1; }

void AttentionPlan::cut(std::uint32_t level) {
  std::uint64_t total = 0;
  for (const Part& part : parts_) {
    if (part.level != level) continue;
    for (std::uint32_t q = 0; q < part.rows * shape_.group; q += kQueryTile) total += cost(tile_of(part, q));
  }
  const std::uint64_t wanted = total * shape_.kv_heads / (shape_.threads * kTasksOfThread) + 1;
  const std::size_t begin = tasks_.size();
  for (const Part& part : parts_)
    if (part.level == level) cut_part(part, wanted);
  std::stable_sort(tasks_.begin() + static_cast<std::ptrdiff_t>(begin), tasks_.end(),
                   [](const Task& a, const Task& b) { return a.segments * a.queries > b.segments * b.queries; });
  level_ends_.push_back(static_cast<std::uint32_t>(tasks_.size()));
}

// Tasks of several tiles, which pass over each segment one after the other, as long as there are enough of them.
void AttentionPlan::cut_part(const Part& part, std::uint64_t wanted) {
  const std::uint32_t queries = part.rows * shape_.group;
  for (std::uint32_t head = 0; head < shape_.kv_heads; ++head) {
    for (std::uint32_t q = 0; q < queries;) {
      Task task = tile_of(part, q);
      task.kv_head = head;
      std::uint64_t total = cost(task);
      for (q += task.queries; q < queries && task.queries < kTilesPerTask * kQueryTile;) {
        const Task next = tile_of(part, q);
        if (total + cost(next) > wanted) break;
        total += cost(next);
        task.segments =
            std::max(task.first_segment + task.segments, next.first_segment + next.segments) - task.first_segment;
        task.queries += next.queries;
        q += next.queries;
      }
      add_task(task, total, wanted);
    }
  }
}

// A tile that is too much for one thread is cut by segments, none of its pieces under two.
void AttentionPlan::add_task(const Task& task, std::uint64_t cost, std::uint64_t wanted) {
  const auto pieces =
      static_cast<std::uint32_t>(std::min<std::uint64_t>((cost + wanted - 1) / wanted, task.segments / 2));
  if (shape_.threads == 1 || task.queries > kQueryTile || pieces < 2) {
    tasks_.push_back(task);
    return;
  }
  Task whole = task;
  whole.split = static_cast<std::uint32_t>(splits_.size());
  whole.partial = partials_;
  partials_ += task.segments;
  splits_.push_back({whole, pieces});
  for (std::uint32_t i = 0; i < pieces; ++i) {
    const std::uint32_t begin = task.segments * i / pieces, end = task.segments * (i + 1) / pieces;
    Task piece = whole;
    piece.first_segment += begin;
    piece.partial += begin;
    piece.segments = end - begin;
    tasks_.push_back(piece);
  }
}

}  // namespace kvasir
