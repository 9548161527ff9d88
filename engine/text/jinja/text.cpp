#include "engine/text/jinja/text.h"

#include <algorithm>
#include <utility>

#include "storage/base/assert.h"

namespace kvasir::jinja {

std::size_t Text::run_at(std::size_t at) const {
  const auto run =
      std::upper_bound(runs_.begin(), runs_.end(), at, [](std::size_t p, const Run& r) { return p < r.end; });
  return static_cast<std::size_t>(run - runs_.begin());
}

bool Text::from_template_at(std::size_t at) const {
  KVASIR_ASSERT(at < size());
  return runs_[run_at(at)].from_template;
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  TextBuilder builder;
  builder.append(*this, begin, end);
  Text part = builder.take();
  part.markup_ = markup_;
  return part;
}

void TextBuilder::append(std::string_view bytes, bool from_template) {
  if (bytes.empty()) return;
  text_.bytes_ += bytes;
  auto& runs = text_.runs_;
  if (runs.empty() || runs.back().from_template != from_template) {
    runs.push_back({text_.bytes_.size(), from_template});
  } else {
    runs.back().end = text_.bytes_.size();
  }
}

void TextBuilder::append(const Text& text, std::size_t begin, std::size_t end) {
  KVASIR_ASSERT(begin <= end && end <= text.size());
  const std::string_view bytes = text.bytes();
  for (std::size_t run = begin < end ? text.run_at(begin) : 0; begin < end; ++run) {
    const std::size_t stop = std::min(text.runs_[run].end, end);
    append(bytes.substr(begin, stop - begin), text.runs_[run].from_template);
    begin = stop;
  }
}

Text TextBuilder::take() { return std::exchange(text_, {}); }

}  // namespace kvasir::jinja
