#include "daemon/db/toolbox_rows.hpp"

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace stint::db {

ToolboxRows::ToolboxRows(Connection& connection)
    : set_channel_(connection.prepare("INSERT INTO channel(id, name, capacity, closed) VALUES(?1, ?2, ?3, ?4) "
                                      "ON CONFLICT(id) DO UPDATE SET capacity = ?3, closed = ?4")),
      delete_channel_(connection.prepare("DELETE FROM channel WHERE id = ?1")),
      delete_items_(connection.prepare("DELETE FROM channel_item WHERE channel = ?1")),
      put_(connection.prepare("INSERT INTO channel_item(channel, position, item) SELECT ?1, ?2, ?3 "
                              "WHERE EXISTS (SELECT 1 FROM channel WHERE id = ?1)")),
      take_(connection.prepare("DELETE FROM channel_item WHERE channel = ?1 AND position = ?2")),
      set_event_(connection.prepare("INSERT OR IGNORE INTO event(name) VALUES(?1)")),
      clear_event_(connection.prepare("DELETE FROM event WHERE name = ?1")),
      set_semaphore_(connection.prepare("INSERT INTO semaphore(name, permits) VALUES(?1, ?2) "
                                        "ON CONFLICT(name) DO UPDATE SET permits = ?2")),
      remove_semaphore_(connection.prepare("DELETE FROM semaphore WHERE name = ?1")),
      set_lease_(connection.prepare("INSERT INTO lease(id, is_lock, name, permits, job, owner) VALUES(?1, ?2, ?3, ?4, ?5, ?6) "
                                    "ON CONFLICT(id) DO UPDATE SET job = ?5")),
      count_lease_(connection.prepare("UPDATE lease_number SET next = max(next, ?1)")),
      delete_lease_(connection.prepare("DELETE FROM lease WHERE id = ?1")) {}

void ToolboxRows::record(const core::ChannelFact& fact) {
  if (fact.removed) {
    delete_items_.bind(1, fact.channel).run();
    delete_channel_.bind(1, fact.channel).run();
    return;
  }
  set_channel_.bind(1, fact.channel).bind_text(2, fact.name).bind(3, fact.capacity).bind(4, std::int64_t{fact.closed}).run();
}

void ToolboxRows::record(const core::ChannelPutFact& fact) {
  put_.bind(1, fact.channel).bind(2, fact.position).bind_text(3, fact.value->text).run();
}

void ToolboxRows::record(const core::ChannelTakeFact& fact) {
  for (const std::int64_t position : fact.positions) take_.bind(1, fact.channel).bind(2, position).run();
}

void ToolboxRows::record(const core::EventFact& fact) { (fact.set ? set_event_ : clear_event_).bind_text(1, fact.name).run(); }

void ToolboxRows::record(const core::SemaphoreFact& fact) {
  if (fact.permits == 0) {
    remove_semaphore_.bind_text(1, fact.name).run();
  } else {
    set_semaphore_.bind_text(1, fact.name).bind(2, fact.permits).run();
  }
}

void ToolboxRows::record(const core::LeaseFact& fact) {
  set_lease_.bind(1, fact.lease).bind(2, std::int64_t{fact.is_lock}).bind_text(3, fact.name).bind(4, fact.permits);
  set_lease_.bind(5, fact.job).bind_text(6, fact.owner).run();
  count_lease_.bind(1, fact.lease + 1).run();
}

void ToolboxRows::record(const core::ReleaseFact& fact) { delete_lease_.bind(1, fact.lease).run(); }

void read_toolbox(Connection& connection, Recovered& recovered) {
  std::map<std::uint64_t, std::size_t> places;
  Statement channels = connection.prepare("SELECT id, name, capacity, closed FROM channel ORDER BY id");
  while (channels.step()) {
    places.emplace(channels.natural(0), recovered.channels.size());
    recovered.channels.push_back(
        {channels.natural(0), std::string(channels.bytes(1)), channels.natural(2), channels.integer(3) != 0, {}});
  }
  Statement items = connection.prepare("SELECT channel, position, item FROM channel_item ORDER BY channel, position");
  while (items.step()) {
    const auto place = places.find(items.natural(0));
    if (place == places.end()) throw StoreFailure("an item lies in no channel");
    recovered.channels[place->second].items.emplace_back(
        items.integer(1), std::make_shared<const json::Raw>(json::Raw{std::string(items.bytes(2))}));
  }
  Statement events = connection.prepare("SELECT name FROM event");
  while (events.step()) recovered.events.emplace_back(events.bytes(0));
  Statement semaphores = connection.prepare("SELECT name, permits FROM semaphore");
  while (semaphores.step()) recovered.permits.semaphores.push_back({std::string(semaphores.bytes(0)), semaphores.natural(1)});
  Statement leases = connection.prepare("SELECT id, is_lock, name, permits, job, owner FROM lease ORDER BY id");
  while (leases.step()) {
    recovered.permits.leases.push_back({leases.natural(0), leases.integer(1) != 0, std::string(leases.bytes(2)),
                                        leases.natural(3), leases.natural(4), std::string(leases.bytes(5)), false});
  }
  recovered.next_lease = static_cast<std::uint64_t>(connection.ask("SELECT next FROM lease_number"));
}

}  // namespace stint::db
