#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/calls/reply_parser.h"
#include "storage/base/prng.h"

namespace kvasir::testing {

// What a reply came to, however it was cut.
struct ParsedReply {
  std::string content, reasoning;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments; whole ones
  std::vector<std::string> ids;                            // as the model wrote them
  std::vector<std::string> broken;                         // calls that began and broke, as the model wrote them
  std::string all;                                         // everything, in order: must be the text
  std::string stream;  // what a client of a stream has: content, and "[name:arguments" of calls
  bool operator==(const ParsedReply&) const = default;
};

inline ParsedReply collect(const std::vector<ReplyEvent>& events) {
  ParsedReply reply;
  std::string name, id, arguments;
  for (const ReplyEvent& event : events) {
    using Kind = ReplyEvent::Kind;
    if (event.kind != Kind::arguments) reply.all += event.text;
    switch (event.kind) {
      case Kind::content:
        reply.content += event.text;
        reply.stream += event.text;
        break;
      case Kind::reasoning:
        reply.reasoning += event.text;
        break;
      case Kind::hidden:
        break;
      case Kind::call_begin:
        name = event.name;
        id = event.id;
        arguments.clear();
        reply.stream += "[" + name + ":";
        break;
      case Kind::arguments:
        arguments += event.text;
        reply.stream += event.text;
        break;
      case Kind::call_end:
        reply.calls.emplace_back(name, arguments);
        reply.ids.push_back(id);
        reply.stream += "]";
        break;
      case Kind::call_broken:
        reply.broken.push_back(event.text);
        reply.stream += "|" + event.rest;
        break;
    }
  }
  return reply;
}

// Pushes `text` cut before each of the places (ascending; those beyond the end do not count).
inline ParsedReply parse_cut(ReplyParser parser, std::string_view text, const std::vector<std::size_t>& cuts) {
  std::vector<ReplyEvent> events;
  const auto take = [&] {
    for (ReplyEvent& event : parser.take()) events.push_back(std::move(event));
  };
  std::size_t at = 0;
  for (const std::size_t cut : cuts) {
    if (cut <= at || cut >= text.size()) continue;
    parser.push(text.substr(at, cut - at));
    take();
    at = cut;
  }
  parser.push(text.substr(at));
  take();
  parser.finish();
  take();
  return collect(events);
}

// Cuts of 1 to `longest` bytes.
inline std::vector<std::size_t> random_cuts(std::size_t bytes, std::uint64_t seed, std::size_t longest = 7) {
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0, i = 0; at < bytes; ++i) cuts.push_back(at += 1 + uniform64(seed, i) % longest);
  return cuts;
}

}  // namespace kvasir::testing
