#include "daemon/core/admission.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace stint::core {
namespace {

/// So many passes are remembered one by one; older ones count for everybody who stood there.
constexpr std::size_t passes_kept = 4'096;

std::uint64_t first_capacity(PermitKind kind) {
  switch (kind) {
    case PermitKind::lock: return 1;
    case PermitKind::semaphore: return 0;
    case PermitKind::concurrency: return Need::unlimited;
  }
  return 0;
}

}  // namespace

// ---- events

void Admission::resize(const std::string& name, std::uint64_t permits, Time now) {
  Resource& semaphore = resource(PermitKind::semaphore, name);
  semaphore.capacity = permits;
  make_room(semaphore, 0);
  touch(semaphore);
  settle(now);
}

void Admission::join(Place place, const std::vector<Need>& needs, Time now) {
  Waiter& waiter = add(place, needs);
  for (Part& part : waiter.parts) {
    part.joined = part.resource->passes_dropped + part.resource->passes.size();
    part.resource->line.insert(place);
  }
  serve(waiter, now);
  settle(now);
}

bool Admission::take(WaiterId job, Time now) {
  Waiter& waiter = waiters_.at(job);
  // Those who share a concurrency key may differ in its limit, so what was offered may be gone.
  for (std::size_t i = 0; i < waiter.parts.size(); ++i) {
    const Part& part = waiter.parts[i];
    if (part.resource->used + part.permits <= std::min(part.resource->capacity, part.limit)) continue;
    withdraw(waiter, i);
    settle(now);
    return false;
  }
  for (Part& part : waiter.parts) {
    part.resource->offered -= part.permits;
    part.resource->ready.erase(waiter.place);
  }
  hold(waiter, now);
  settle(now);
  return true;
}

void Admission::restore(Place place, const std::vector<Need>& needs, Time now) {
  Waiter& waiter = add(place, needs);
  waiter.stage = Stage::holding;
  for (const Part& part : waiter.parts) {
    part.resource->used += part.permits;
    part.resource->holders.emplace(place.id, part.permits);
    make_room(*part.resource, 0);
  }
  settle(now);
}

void Admission::leave(WaiterId id, Time now) {
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return;
  Waiter& waiter = found->second;
  for (const Part& part : waiter.parts) {
    if (waiter.stage == Stage::holding) {
      part.resource->used -= part.permits;
      part.resource->holders.erase(id);
    } else if (waiter.stage == Stage::ready) {
      part.resource->offered -= part.permits;
      part.resource->ready.erase(waiter.place);
    }
    touch(*part.resource);
  }
  if (waiter.stage == Stage::parked) unpark(waiter);
  if (waiter.stage != Stage::holding) leave_lines(waiter);
  waiters_.erase(found);
  settle(now);
}

// ---- whose turn it is

Admission::Resource& Admission::resource(PermitKind kind, const std::string& name) {
  const auto [found, made] = resources_.try_emplace({kind, name});
  if (made) {
    found->second.kind = kind;
    found->second.name = name;
    found->second.capacity = first_capacity(kind);
  }
  return found->second;
}

const Admission::Resource* Admission::find(PermitKind kind, std::string_view name) const {
  const auto found = resources_.find(std::pair(kind, std::string(name)));
  return found == resources_.end() ? nullptr : &found->second;
}

Admission::Waiter& Admission::add(Place place, const std::vector<Need>& needs) {
  Waiter& waiter = waiters_.try_emplace(place.id).first->second;
  waiter.place = place;
  waiter.parts.reserve(needs.size());
  for (const Need& need : needs) waiter.parts.push_back({&resource(need.kind, need.name), need.permits, need.limit, 0});
  return waiter;
}

bool Admission::blocked(const Waiter& waiter, const Resource& at) const {
  for (const Place& place : at.stubborn) {
    if (!(place < waiter.place)) return false;
    // Who is ready lacks a slot only: those who run and want a permit must not wait for that.
    if (waiters_.at(place.id).stage != Stage::ready) return true;
  }
  return false;
}

bool Admission::fits_beside_offers(const Waiter& waiter, const Part& part) const {
  const Resource& at = *part.resource;
  const std::uint64_t limit = std::min(at.capacity, part.limit);
  return part.permits <= limit && at.used <= limit - part.permits && !blocked(waiter, at);
}

bool Admission::fits(const Waiter& waiter, const Part& part) const {
  if (!fits_beside_offers(waiter, part)) return false;
  const Resource& at = *part.resource;
  const std::uint64_t limit = std::min(at.capacity, part.limit);
  const std::uint64_t room = limit - part.permits - at.used;
  if (at.offered <= room) return true;
  // What was offered to those behind it does not count. Each of them has at least one permit, so this is short.
  std::uint64_t before = at.offered;
  for (auto last = at.ready.rbegin(); last != at.ready.rend() && waiter.place < *last && before > room; ++last) {
    for (const Part& theirs : waiters_.at(last->id).parts) {
      if (theirs.resource == &at) before -= theirs.permits;
    }
  }
  return before <= room;
}

// Whoever stands first is asked whether it has been passed often enough, before somebody passes it again.
void Admission::note_stubborn(const Waiter& newcomer, Resource& at, Time now) {
  if (at.passes.empty() && at.passes_dropped == 0) return;
  const Place first = at.line.front();
  if (!(first < newcomer.place) || at.stubborn.contains(first)) return;
  const Waiter& front = waiters_.at(first.id);
  for (const Part& part : front.parts) {
    if (part.resource != &at) continue;
    std::uint64_t passed = at.passes_dropped > part.joined ? at.passes_dropped - part.joined : 0;
    const std::uint64_t from = part.joined > at.passes_dropped ? part.joined - at.passes_dropped : 0;
    bool long_ago = false;
    for (std::uint64_t i = from; i < at.passes.size() && passed < passes_max && !long_ago; ++i) {
      if (!(first < at.passes[i].by)) continue;
      ++passed;
      long_ago = now - at.passes[i].at >= passed_max;
    }
    if (passed >= passes_max || long_ago) at.stubborn.insert(first);
  }
}

void Admission::note_pass(const Waiter& waiter, Time now) {
  for (const Part& part : waiter.parts) {
    Resource& at = *part.resource;
    if (at.line.empty()) {
      at.passes.clear();
      at.passes_dropped = 0;
    } else if (at.line.front() < waiter.place) {
      at.passes.push_back({waiter.place, now});
      if (at.passes.size() > passes_kept) {
        at.passes.pop_front();
        ++at.passes_dropped;
      }
    }
  }
}

/// It stands in its lines and nowhere else: served, or parked at what it lacks.
void Admission::serve(Waiter& waiter, Time now) {
  for (std::size_t i = 0; i < waiter.parts.size(); ++i) {
    note_stubborn(waiter, *waiter.parts[i].resource, now);
    if (!fits(waiter, waiter.parts[i])) return park(waiter, i);
  }
  if (is_call(waiter.place.id)) return grant(waiter, now);
  for (const Part& part : waiter.parts) {
    if (part.limit == Need::unlimited) make_room(*part.resource, part.permits);
  }
  waiter.stage = Stage::ready;
  for (const Part& part : waiter.parts) {
    part.resource->offered += part.permits;
    part.resource->ready.insert(waiter.place);
    if (part.resource->stubborn.contains(waiter.place)) touch(*part.resource);
  }
  changes.push_back({Change::Kind::ready, waiter.place.id});
}

void Admission::grant(Waiter& waiter, Time now) {
  hold(waiter, now);
  for (const Part& part : waiter.parts) make_room(*part.resource, 0);
  changes.push_back({Change::Kind::granted, waiter.place.id});
}

void Admission::yield(Time now) {
  while (!contested_.empty()) {
    Resource& at = **contested_.begin();
    contested_.erase(contested_.begin());
    Waiter* first = nullptr;
    for (const auto& [need, line] : at.parked) {
      Waiter& waiter = waiters_.at(line.front().id);
      if (!is_call(waiter.place.id) || (first != nullptr && first->place < waiter.place)) continue;
      note_stubborn(waiter, at, now);
      if (fits_beside_offers(waiter, waiter.parts[waiter.parked_at])) first = &waiter;
    }
    if (first == nullptr) {
      drop_if_unused(at);
      continue;
    }
    unpark(*first);
    const auto lacking = std::ranges::find_if(first->parts, [&](const Part& part) { return !fits_beside_offers(*first, part); });
    if (lacking == first->parts.end()) {
      grant(*first, now);
    } else {
      park(*first, static_cast<std::size_t>(lacking - first->parts.begin()));
    }
    contested_.insert(&at);  // there may be more
    settle(now);
  }
}

void Admission::park(Waiter& waiter, std::size_t part) {
  waiter.stage = Stage::parked;
  waiter.parked_at = static_cast<std::uint32_t>(part);
  if (is_call(waiter.place.id) && !waiter.parts[part].resource->ready.empty()) contested_.insert(waiter.parts[part].resource);
  waiter.parts[part].resource->parked[alike(waiter, waiter.parts[part])].insert(waiter.place);
}

void Admission::unpark(Waiter& waiter) {
  const Part& part = waiter.parts[waiter.parked_at];
  const auto line = part.resource->parked.find(alike(waiter, part));
  line->second.erase(waiter.place);
  if (line->second.empty()) part.resource->parked.erase(line);
}

void Admission::hold(Waiter& waiter, Time now) {
  leave_lines(waiter);
  note_pass(waiter, now);
  waiter.stage = Stage::holding;
  for (const Part& part : waiter.parts) {
    part.resource->used += part.permits;
    part.resource->holders.emplace(waiter.place.id, part.permits);
  }
}

void Admission::leave_lines(Waiter& waiter) {
  for (const Part& part : waiter.parts) {
    part.resource->line.erase(waiter.place);
    if (part.resource->stubborn.erase(waiter.place) > 0) touch(*part.resource);
  }
}

void Admission::withdraw(Waiter& waiter, std::size_t lacking) {
  for (const Part& part : waiter.parts) {
    part.resource->offered -= part.permits;
    part.resource->ready.erase(waiter.place);
    touch(*part.resource);  // others may have what it was offered
  }
  park(waiter, lacking);
  changes.push_back({Change::Kind::not_ready, waiter.place.id});
}

/// What is offered to the last ones is taken back until there is room for so many permits.
void Admission::make_room(Resource& at, std::uint64_t permits) {
  while (!at.ready.empty() && at.used + at.offered + permits > at.capacity) {
    Waiter& last = waiters_.at(at.ready.rbegin()->id);
    const auto part = std::ranges::find(last.parts, &at, &Part::resource);
    withdraw(last, static_cast<std::size_t>(part - last.parts.begin()));
  }
}

void Admission::touch(Resource& at) {
  if (std::exchange(at.dirty, true)) return;
  dirty_.push_back(&at);
}

void Admission::settle(Time now) {
  while (!dirty_.empty()) {
    Resource& at = *dirty_.back();
    dirty_.pop_back();
    at.dirty = false;
    wake(at, now);
    drop_if_unused(at);
  }
}

void Admission::wake(Resource& at, Time now) {
  const auto calls_wait = [&at] { return !at.parked.empty() && std::get<0>(at.parked.rbegin()->first); };
  while (true) {
    Waiter* first = nullptr;
    for (const auto& [need, line] : at.parked) {
      Waiter& waiter = waiters_.at(line.front().id);
      if (first != nullptr && first->place < waiter.place) continue;
      note_stubborn(waiter, at, now);
      if (fits(waiter, waiter.parts[waiter.parked_at])) first = &waiter;
    }
    if (first == nullptr) break;
    unpark(*first);
    serve(*first, now);
  }
  if (!at.ready.empty() && calls_wait()) contested_.insert(&at);
}

void Admission::drop_if_unused(Resource& at) {
  const bool is_set = at.kind == PermitKind::semaphore && at.capacity > 0;
  if (is_set || at.dirty || contested_.contains(&at) || !at.line.empty() || !at.holders.empty()) return;
  resources_.erase(std::pair(at.kind, at.name));
}

// ---- questions

bool Admission::holds(WaiterId id) const {
  const auto found = waiters_.find(id);
  return found != waiters_.end() && found->second.stage == Stage::holding;
}

bool Admission::is_ready(WaiterId id) const {
  const auto found = waiters_.find(id);
  return found != waiters_.end() && found->second.stage == Stage::ready;
}

std::vector<Admission::Lack> Admission::lacks(WaiterId id) const {
  std::vector<Lack> lacks;
  const auto found = waiters_.find(id);
  if (found == waiters_.end() || found->second.stage != Stage::parked) return lacks;
  for (const Part& part : found->second.parts) {
    if (fits(found->second, part)) continue;
    lacks.push_back({part.resource->kind, part.resource->name, part.resource->line.ahead(found->second.place)});
  }
  return lacks;
}

std::vector<Admission::Holding> Admission::needs_of(WaiterId id) const {
  std::vector<Holding> needs;
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return needs;
  for (const Part& part : found->second.parts) {
    needs.push_back({part.resource->kind, part.resource->name, part.permits, part.limit});
  }
  return needs;
}

std::uint64_t Admission::size_of(std::string_view name) const {
  const Resource* const semaphore = find(PermitKind::semaphore, name);
  return semaphore == nullptr ? 0 : semaphore->capacity;
}

std::vector<std::string_view> Admission::names(PermitKind kind) const {
  std::vector<std::string_view> names;
  for (auto at = resources_.lower_bound(std::pair(kind, std::string())); at != resources_.end() && at->first.first == kind;
       ++at) {
    names.push_back(at->first.second);
  }
  return names;
}

std::vector<Admission::ResourceState> Admission::list(PermitKind kind, std::size_t waiters_max) const {
  std::vector<ResourceState> states;
  for (const std::string_view name : names(kind)) {
    ResourceState state = state_of(kind, name);
    const Resource& at = *find(kind, name);
    at.line.each([&](Place place) {
      const Waiter& waiter = waiters_.at(place.id);
      const auto part = std::ranges::find(waiter.parts, &at, &Part::resource);
      state.waiters.emplace_back(place.id, part->permits);
      return state.waiters.size() < waiters_max;
    });
    states.push_back(std::move(state));
  }
  return states;
}

Admission::ResourceState Admission::state_of(PermitKind kind, std::string_view name) const {
  ResourceState state{.kind = kind, .name = name, .capacity = 0, .used = 0, .holders = {}, .waiting = 0, .waiters = {}};
  if (const Resource* const at = find(kind, name)) {
    state.name = at->name;
    state.capacity = at->capacity;
    state.used = at->used;
    state.holders.assign(at->holders.begin(), at->holders.end());
    state.waiting = at->line.size();
  }
  return state;
}

void Admission::check() const {
  struct Derived {
    std::uint64_t used = 0, offered = 0, line = 0, parked = 0, ready = 0, holders = 0;
  };
  std::map<const Resource*, Derived> derived;
  const auto require = [](bool holds, const Resource& at, const char* what) {
    if (!holds) throw std::logic_error("permits of " + at.name + ": " + what);
  };
  for (const auto& [id, waiter] : waiters_) {
    for (std::size_t i = 0; i < waiter.parts.size(); ++i) {
      const Part& part = waiter.parts[i];
      const Resource& at = *part.resource;
      Derived& sums = derived[&at];
      const bool holding = waiter.stage == Stage::holding;
      const bool ready = waiter.stage == Stage::ready;
      const bool here = waiter.stage == Stage::parked && waiter.parked_at == i;
      sums.used += holding ? part.permits : 0;
      sums.holders += holding ? 1 : 0;
      sums.offered += ready ? part.permits : 0;
      sums.ready += ready ? 1 : 0;
      sums.line += holding ? 0 : 1;
      sums.parked += here ? 1 : 0;
      require(at.line.contains(waiter.place) != holding, at, "a waiter is missing in the line, or a holder stands there");
      require(at.ready.contains(waiter.place) == ready, at, "who is ready is wrong");
      const auto line = at.parked.find(alike(waiter, part));
      require((line != at.parked.end() && line->second.contains(waiter.place)) == here, at, "who is parked is wrong");
      require(!here || !fits(waiter, part), at, "somebody is parked who could have it");
    }
    if (waiter.stage == Stage::ready && is_call(id)) throw std::logic_error("a call is ready and was not granted");
  }
  for (const auto& [key, at] : resources_) {
    const Derived sums = derived[&at];
    std::uint64_t parked = 0;
    for (const auto& [need, line] : at.parked) {
      line.check();
      require(!line.empty(), at, "an empty line is kept");
      parked += line.size();
    }
    at.line.check();
    require(sums.used == at.used && sums.holders == at.holders.size(), at, "what is held is counted wrong");
    require(sums.offered == at.offered && sums.ready == at.ready.size(), at, "what is offered is counted wrong");
    require(sums.line == at.line.size() && sums.parked == parked, at, "who waits is counted wrong");
    require(at.ready.empty() || at.used + at.offered <= at.capacity, at, "more is offered than there is");
    require(!at.dirty, at, "it has changed and nobody was told");
    const bool contested = contested_.contains(const_cast<Resource*>(&at));
    const bool is_set = at.kind == PermitKind::semaphore && at.capacity > 0;
    require(is_set || contested || !at.line.empty() || !at.holders.empty(), at, "nobody needs it");
    for (const Place& place : at.stubborn) require(at.line.contains(place), at, "one that has left still holds others up");
  }
}

}  // namespace stint::core
