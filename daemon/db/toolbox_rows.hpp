// Channels, events, semaphores and leases as rows: what their facts change, and what a start of the daemon finds.
//
// In the transaction of FactWriter, on the store's thread. Throws SqliteError.
#pragma once

#include "daemon/core/effects.hpp"
#include "daemon/db/sqlite.hpp"
#include "daemon/db/store.hpp"

namespace stint::db {

class ToolboxRows {
 public:
  explicit ToolboxRows(Connection& connection);

  void record(const core::ChannelFact& fact);
  void record(const core::ChannelPutFact& fact);
  void record(const core::ChannelTakeFact& fact);
  void record(const core::EventFact& fact);
  void record(const core::SemaphoreFact& fact);
  void record(const core::LeaseFact& fact);
  void record(const core::ReleaseFact& fact);
  /// Facts that are about something else.
  template <class Other>
  void record(const Other&) {}

 private:
  Statement set_channel_;
  Statement delete_channel_;
  Statement delete_items_;
  Statement put_;
  Statement take_;
  Statement set_event_;
  Statement clear_event_;
  Statement set_semaphore_;
  Statement remove_semaphore_;
  Statement set_lease_;
  Statement count_lease_;
  Statement delete_lease_;
};

void read_toolbox(Connection& connection, Recovered& recovered);

}  // namespace stint::db
